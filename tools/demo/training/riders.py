"""Two-wheelers without their riders, as COCO draws them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tools.demo.training.pictures import Picture

# The one source whose training labels draw two-wheelers now with, now without their riders.
_MIXED_SOURCE = "dk"
# COCO ids and the share of a box's height that a rider adds, less for boxes with none.
_RIDER_SHARES = {1: 0.3, 3: 0.2}


def without_riders(picture: Picture) -> Picture:
    """Cut the riders off the boxes of a picture to train on.

    Which boxes include one is not labeled. A two-wheeler alone is mostly wider than tall, so the
    top is cut from those that are taller than wide.
    """
    if picture.source != _MIXED_SOURCE:
        return picture
    boxes = picture.boxes.copy()
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    shares = np.array([_RIDER_SHARES.get(int(i), 0.0) for i in picture.class_ids], np.float32)
    boxes[:, 1] += np.where(height > width, shares, 0.0) * height
    return replace(picture, boxes=boxes.astype(np.float32))
