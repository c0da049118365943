"""What is drawn on a frame."""

from __future__ import annotations

import numpy as np
import pytest
from yolostream.detections import Detections
from yolostream.pipeline.drawing import Painter

GRAY = 128
SIZE = 200


def dark_pixels(box):
    """Of the label's letters; nothing else on the picture is dark."""
    detections = Detections(
        boxes=np.array([box], np.float32),
        scores=np.array([0.5], np.float32),
        class_ids=np.zeros(1, np.int64),
        labels=("car",),
    )
    picture = Painter("").draw(np.full((SIZE, SIZE, 3), GRAY, np.uint8), detections)
    return int((picture < GRAY // 2).all(axis=2).sum())


@pytest.mark.parametrize(
    "box",
    [(SIZE - 20, 100, SIZE, 140), (80, 0, 120, 40), (0, SIZE - 5, 20, SIZE)],
    ids=["right", "top", "bottom left"],
)
def test_a_label_at_the_edge_is_whole(box):
    assert dark_pixels(box) == dark_pixels((80, 100, 120, 140)) > 0
