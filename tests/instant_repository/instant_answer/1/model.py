"""A model that answers at once: it finds red areas, and simulates faults for some gray levels.

The box of the red pixels is an object of class 0; only every eighth pixel is read.

The brightness of the first pixels selects a fault. From 245 on, the queue is full; from 230 on,
the answer takes 1.5 s; from 215 on, it takes 0.3 s.
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

STEP = 8


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
        found = {
            name: np.zeros((len(frames), *shape), np.float32) for name, shape in SHAPES.items()
        }
        for number, frame in enumerate(frames[:, ::STEP, ::STEP]):
            rows, columns = np.nonzero((frame[..., 0] > 180) & (frame[..., 1:].max(-1) < 80))
            if len(rows):
                # The edges are in the middle between a red sample and one that is not.
                middles = np.array([rows.min(), columns.min(), rows.max(), columns.max()]) * STEP
                ends = middles + np.array([-1, -1, 1, 1]) * STEP / 2
                found["num_detections"][number] = 1
                found["detection_boxes"][number, 0] = ends / np.tile(frames.shape[1:3], 2)
                found["detection_scores"][number, 0] = 0.9
        return pb_utils.InferenceResponse([pb_utils.Tensor(*item) for item in found.items()])
