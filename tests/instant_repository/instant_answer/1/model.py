"""No objects, at once; frames of some shades of gray meet a server's faults.

A frame whose first pixels are at least so bright: 245, the queue is full; 230, the answer takes
a second and a half; 215, a third of one.
"""

from __future__ import annotations

import time

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
        frames = pb_utils.get_input_tensor_by_name(request, "frames").as_numpy()
        shade = frames[:, :2, :2].max(axis=0).min()
        if shade >= 245:
            full = "Exceeds maximum queue size"
            error = pb_utils.TritonError(full, pb_utils.TritonError.UNAVAILABLE)
            return pb_utils.InferenceResponse([], error)
        time.sleep(1.5 if shade >= 230 else 0.3 if shade >= 215 else 0)
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor(name, np.zeros((len(frames), *shape), np.float32))
                for name, shape in SHAPES.items()
            ]
        )
