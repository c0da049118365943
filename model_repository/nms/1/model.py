"""The detector's rows in, at most 300 detections out. The work is in `nms.py`."""

from __future__ import annotations

import json

import cv2
import numpy as np
import triton_python_backend_utils as pb_utils

from .nms import Thresholds, non_maximum_suppression, to_frame


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        self.thresholds = Thresholds(
            confidence=float(parameters["confidence_threshold"]),
            iou=float(parameters["iou_threshold"]),
            max_detections=int(parameters["max_detections"]),
        )
        # Declared sizes are promises that nobody else checks.
        rows = pb_utils.get_output_config_by_name(config, "detection_boxes")["dims"][0]
        if rows != self.thresholds.max_detections:
            raise pb_utils.TritonModelException(
                f"max_detections is {self.thresholds.max_detections}, but detection_boxes has "
                f"{rows} rows: set both to the same number"
            )
        cv2.setNumThreads(1)

    def execute(self, requests):
        return [self._respond(request) for request in requests]

    def _respond(self, request):
        predictions = pb_utils.get_input_tensor_by_name(request, "output").as_numpy()
        places = pb_utils.get_input_tensor_by_name(request, "letterbox").as_numpy()
        batch, rows = len(predictions), self.thresholds.max_detections
        counts = np.zeros((batch, 1), dtype=np.float32)
        boxes = np.zeros((batch, rows, 4), dtype=np.float32)
        scores = np.zeros((batch, rows), dtype=np.float32)
        classes = np.zeros((batch, rows), dtype=np.float32)
        for index, place in enumerate(places):
            found = non_maximum_suppression(predictions[index], self.thresholds)
            used = len(found)
            counts[index] = used
            boxes[index, :used] = to_frame(found[:, :4], place)
            scores[index, :used] = found[:, 4]
            classes[index, :used] = found[:, 5]
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("num_detections", counts),
                pb_utils.Tensor("detection_boxes", boxes),
                pb_utils.Tensor("detection_scores", scores),
                pb_utils.Tensor("detection_classes", classes),
            ]
        )
