"""What the ensemble answers, as detections."""

from __future__ import annotations

import numpy as np
from tritonclient.grpc import InferResult

from yolostream.detections import Detections


def detections_in(
    answer: InferResult, *, height: int, width: int, labels: tuple[str, ...]
) -> Detections:
    """The detections in the answer to one frame.

    Args:
        answer: With the outputs of the ensemble; boxes are y1, x1, y2, x2, 0..1.
        height: Of the frame as it was given, in pixels; boxes are in these.
        width: The same.
        labels: Class names by class id.
    """
    count = int(answer.as_numpy("num_detections")[0, 0])
    top_left_bottom_right = answer.as_numpy("detection_boxes")[0, :count]
    scale = np.array([width, height, width, height], dtype=np.float32)
    return Detections(
        boxes=top_left_bottom_right[:, [1, 0, 3, 2]] * scale,
        scores=answer.as_numpy("detection_scores")[0, :count],
        class_ids=answer.as_numpy("detection_classes")[0, :count].astype(np.int64),
        labels=labels,
    )
