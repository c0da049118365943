"""Removes riders from the boxes of two-wheelers, as in COCO's labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tools.demo.training.pictures import Picture

# The only source whose labels of two-wheelers sometimes include the rider and sometimes do not.
_MIXED_SOURCE = "dk"
# COCO ids and the share of a box's height that a rider adds, less for boxes with none.
_RIDER_SHARES = {1: 0.3, 3: 0.2}


def without_riders(picture: Picture) -> Picture:
    """Cut the riders off the boxes of a training picture.

    The labels do not tell which boxes include a rider. Two-wheelers without a rider are mostly
    wider than tall, so the top is cut from boxes that are taller than wide.
    """
    if picture.source != _MIXED_SOURCE:
        return picture
    boxes = picture.boxes.copy()
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    shares = np.array([_RIDER_SHARES.get(int(i), 0.0) for i in picture.class_ids], np.float32)
    boxes[:, 1] += np.where(height > width, shares, 0.0) * height
    return replace(picture, boxes=boxes.astype(np.float32))
