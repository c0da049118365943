"""Ground truth of a frame: the boxes of all visible objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IGNORE_VISIBILITY = 0.35
"""Objects with a smaller visible part than this (0..1) are ignored in evaluations."""

MIN_SIDE_SHARE = 12 / 1280
MIN_HEIGHT_SHARE = 20 / 1280
"""Smallest side and height of a box that is not ignored, relative to the picture's larger side."""


@dataclass(frozen=True)
class Annotations:
    """The objects in a frame, one entry per object with at least one visible pixel.

    Attributes:
        track_ids: int64 [N], from 1, stable over the frames of a street.
        class_ids: int64 [N], COCO class ids.
        boxes: float32 [N, 4], x1, y1, x2, y2 in pixels, bounds of the visible pixels.
        visibility: float32 [N] in 0..1, the visible pixels divided by those of the whole object
            without occlusion and without the picture's border.
        ignore: bool [N], objects that are too hidden or too small to count.
    """

    track_ids: NDArray[np.int64]
    class_ids: NDArray[np.int64]
    boxes: NDArray[np.float32]
    visibility: NDArray[np.float32]
    ignore: NDArray[np.bool_]


@dataclass(frozen=True)
class Sighting:
    """One object in one frame: its ids, visible box in pixels and visible share."""

    track_id: int
    class_id: int
    box: tuple[float, float, float, float]
    visibility: float


def annotate(sightings: list[Sighting], *, width: int, height: int) -> Annotations:
    """Collect the visible objects, and mark those to ignore at this picture size."""
    boxes = np.array([s.box for s in sightings], np.float32).reshape(-1, 4)
    visibility = np.array([s.visibility for s in sightings], np.float32)
    sides = boxes[:, 2:] - boxes[:, :2]
    scale = max(width, height)
    small = (sides.min(axis=1, initial=np.inf) < MIN_SIDE_SHARE * scale) | (
        sides[:, 1] < MIN_HEIGHT_SHARE * scale
    )
    return Annotations(
        track_ids=np.array([s.track_id for s in sightings], np.int64),
        class_ids=np.array([s.class_id for s in sightings], np.int64),
        boxes=boxes,
        visibility=visibility,
        ignore=small | (visibility < IGNORE_VISIBILITY),
    )
