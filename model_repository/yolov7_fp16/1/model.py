"""The step `yolov7_fp16` without a TensorRT plan, with the same names and tensors.

The default profile serves `model.plan`; all other profiles run this file.
"""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from .gpu import Gpu
from .pause import PauseWatch

Array = Any
"""Of NumPy, or of CuPy where the step is on a GPU."""
_MODEL = Path(__file__).with_name("model.onnx")


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        on_gpu = args["model_instance_kind"] == "GPU"
        stage = _GpuStage if on_gpu else _CpuStage
        self.stage: _GpuStage | _CpuStage = stage(config, int(args["model_instance_device_id"]))
        self.pause = PauseWatch(config["name"])
        # The objects made so far stay for ever, so the garbage collector need not visit them. Its
        # runs would delay frames.
        gc.freeze()

    def execute(
        self, requests: Sequence[pb_utils.InferenceRequest]
    ) -> list[pb_utils.InferenceResponse]:
        """Run the images of all requests as one batch."""
        with self.stage.computing():
            images: list[Array] = [self._input(request, "input") for request in requests]
            # Passed through with the rows, so that rows and letterbox always belong to one frame.
            letterboxes = [self._input(request, "letterbox") for request in requests]
            carried = [None if one is None else one.copy() for one in letterboxes]
            outputs = self.stage.run(images)
        answers = [self._answer(rows, one) for rows, one in zip(outputs, carried)]
        self.pause.check()
        return answers

    def _input(self, request: pb_utils.InferenceRequest, name: str) -> Array | None:
        """An input as an array; None if the request does not have it."""
        tensor = pb_utils.get_input_tensor_by_name(request, name)
        return None if tensor is None else self.stage.read(tensor)

    def _answer(self, rows: Array, letterbox: Array | None) -> pb_utils.InferenceResponse:
        tensors = [self.stage.tensor("output", rows)]
        if letterbox is not None:
            tensors.append(self.stage.tensor("letterbox", letterbox))
        return pb_utils.InferenceResponse(tensors)


class _CpuStage:
    computing = contextlib.nullcontext

    def __init__(self, config: dict[str, Any], device: int) -> None:
        from .cpu_network import CpuNetwork

        threads = int(config["parameters"]["intra_op_threads"]["string_value"])
        instances = sum(group["count"] for group in config["instance_group"])
        self.run = CpuNetwork(_MODEL, threads=threads, instances=instances).run

    def read(self, tensor: pb_utils.Tensor) -> Array:
        return tensor.as_numpy()

    def tensor(self, name: str, array: Array) -> pb_utils.Tensor:
        return pb_utils.Tensor(name, array)


class _GpuStage:
    def __init__(self, config: dict[str, Any], device: int) -> None:
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        gpu = Gpu(config, device)
        self.computing, self.read, self.tensor = gpu.computing, gpu.array, gpu.tensor
        with gpu.opening():
            from .network import open_network

            self.run = open_network(
                _MODEL,
                runtime=parameters["runtime"],
                stream=gpu.stream,
                batch_sizes=_powers_of_two(int(parameters["largest_launch"])),
                max_batch=config["max_batch_size"],
                image_shape=tuple(config["input"][0]["dims"]),
                rows=config["output"][0]["dims"][0],
            ).run


def _powers_of_two(largest: int) -> list[int]:
    return [1 << power for power in range(largest.bit_length())]
