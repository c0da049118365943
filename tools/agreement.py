"""How far two front ends agree on what they see in the same frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import supervision as sv
from yolostream.detections import Detections

PAIR_IOU = 0.5
"""Overlap from which two boxes of the same class are one object."""
SAME_IOU = 0.95
SAME_SCORE = 0.03
"""A pair agrees from this overlap, and up to this difference of its scores."""


@dataclass(frozen=True)
class Agreement:
    """Over any number of frames.

    Attributes:
        boxes: How many the one has, and the other.
        ious: float64 [pairs], of each pair.
        score_differences: float64 [pairs], without sign.
        shifts: float64 [pairs, 2], from the middle of the other's box to that of the one, to the
            right and down, in pixels.
    """

    boxes: tuple[int, int]
    ious: npt.NDArray[np.float64]
    score_differences: npt.NDArray[np.float64]
    shifts: npt.NDArray[np.float64]

    @property
    def share(self) -> float:
        """Boxes of both in pairs that agree, over boxes of both; 1 where there is no box."""
        agreeing = (self.ious >= SAME_IOU) & (self.score_differences <= SAME_SCORE)
        return 2 * int(agreeing.sum()) / sum(self.boxes) if any(self.boxes) else 1.0


def agreement(frames: Iterable[tuple[Detections, Detections]]) -> Agreement:
    """Pair the boxes of each frame, the largest overlap first, and collect the differences.

    Args:
        frames: what the one found in a frame and what the other did, in the same pixels.
    """
    ones, others = 0, 0
    ious: list[float] = []
    differences: list[float] = []
    shifts: list[npt.NDArray[np.float32]] = []
    for one, other in frames:
        ones, others = ones + len(one), others + len(other)
        for row, column, iou in _pairs(one, other):
            ious.append(iou)
            differences.append(abs(float(one.scores[row]) - float(other.scores[column])))
            corners = one.boxes[row] - other.boxes[column]
            shifts.append((corners[:2] + corners[2:]) / 2)
    return Agreement(
        (ones, others),
        np.array(ious),
        np.array(differences),
        np.array(shifts, float).reshape(-1, 2),
    )


def _pairs(one: Detections, other: Detections) -> Iterable[tuple[int, int, float]]:
    """Row of the one, row of the other, and IoU."""
    ious = sv.box_iou_batch(one.boxes, other.boxes)
    ious[np.not_equal.outer(np.array(one.names, str), np.array(other.names, str))] = 0
    while ious.max(initial=0) >= PAIR_IOU:
        row, column = map(int, np.unravel_index(ious.argmax(), ious.shape))
        yield row, column, float(ious[row, column])
        ious[row], ious[:, column] = 0, 0
