"""The step `nms`: from the network's rows to detections. `nms*.py` do the work."""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import cv2
import triton_python_backend_utils as pb_utils

from .gpu import Gpu
from .nms import Detections, Floats, Thresholds, detect
from .pause import PauseWatch


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        thresholds = Thresholds(
            confidence=float(parameters["confidence_threshold"]),
            iou=float(parameters["iou_threshold"]),
            max_detections=int(parameters["max_detections"]),
            class_agnostic=_switch(parameters, "class_agnostic"),
        )
        # Triton does not check that outputs have the declared sizes.
        rows = pb_utils.get_output_config_by_name(config, "detection_boxes")["dims"][0]
        if rows != thresholds.max_detections:
            raise pb_utils.TritonModelException(
                f"max_detections is {thresholds.max_detections}, but detection_boxes has "
                f"{rows} rows: set both to the same number"
            )
        on_gpu = args["model_instance_kind"] == "GPU"
        self.stage: _GpuStage | _CpuStage = (
            _GpuStage(config, int(args["model_instance_device_id"]), thresholds)
            if on_gpu
            else _CpuStage(thresholds)
        )
        self.pause = PauseWatch(config["name"])
        # The objects made so far stay for ever, so the garbage collector need not visit them. Its
        # runs would delay frames.
        gc.freeze()

    def execute(
        self, requests: Sequence[pb_utils.InferenceRequest]
    ) -> list[pb_utils.InferenceResponse]:
        """Find the detections of all requests as one batch."""
        with self.stage.computing():
            predictions, letterboxes = (
                [
                    self.stage.read(pb_utils.get_input_tensor_by_name(request, name))
                    for request in requests
                ]
                for name in ("output", "letterbox")
            )
            found = self.stage.detect(predictions, letterboxes)
        ends = accumulate(map(len, predictions), initial=0)
        answers = [
            pb_utils.InferenceResponse(
                [
                    pb_utils.Tensor("num_detections", found.num_detections[start:end]),
                    pb_utils.Tensor("detection_boxes", found.boxes[start:end]),
                    pb_utils.Tensor("detection_scores", found.scores[start:end]),
                    pb_utils.Tensor("detection_classes", found.classes[start:end]),
                    pb_utils.Tensor("frame_digest", found.digests[start:end]),
                ]
            )
            for start, end in pairwise(ends)
        ]
        self.pause.check()
        return answers


def _switch(parameters: dict[str, str], name: str) -> bool:
    """Whether a parameter is "true". Configurations of older versions lack it: "false"."""
    value = parameters.get(name, "false")
    if value not in ("true", "false"):
        raise pb_utils.TritonModelException(f'{name} is \'{value}\': write "true" or "false"')
    return value == "true"


class _CpuStage:
    computing = contextlib.nullcontext

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds = thresholds
        cv2.setNumThreads(1)

    def read(self, tensor: pb_utils.Tensor) -> Floats:
        return tensor.as_numpy()

    def detect(self, predictions: Sequence[Floats], letterboxes: Sequence[Floats]) -> Detections:
        return detect(predictions, letterboxes, self.thresholds)


class _GpuStage:
    def __init__(self, config: dict[str, Any], device: int, thresholds: Thresholds) -> None:
        gpu = Gpu(config, device)
        self.computing, self.read = gpu.computing, gpu.array
        with gpu.opening():
            from .nms_cuda import CudaNms

            self.detect = CudaNms(thresholds, max_batch=config["max_batch_size"])
