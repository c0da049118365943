"""No objects, at once, whatever the frames."""

from __future__ import annotations

import numpy as np
import triton_python_backend_utils as pb_utils

SHAPES = {
    "num_detections": (1,),
    "detection_boxes": (300, 4),
    "detection_scores": (300,),
    "detection_classes": (300,),
}


class TritonPythonModel:
    def execute(self, requests):
        return [self._nothing(request) for request in requests]

    def _nothing(self, request):
        frames, *_ = pb_utils.get_input_tensor_by_name(request, "frames").shape()
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor(name, np.zeros((frames, *shape), np.float32))
                for name, shape in SHAPES.items()
            ]
        )
