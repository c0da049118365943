"""Measures how far the detections of two programs in the same frames agree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import supervision as sv
from yolostream.detections import Detections

PAIR_IOU = 0.5
"""Smallest IoU at which two boxes of one class are a pair, that is, the same object."""
SAME_IOU = 0.95
"""Smallest IoU of a pair that agrees."""
SAME_SCORE = 0.03
"""Largest difference between the scores of a pair that agrees."""


@dataclass(frozen=True)
class Agreement:
    """The differences between two programs, over any number of frames.

    Attributes:
        boxes: Number of boxes of the first and of the second program.
        ious: float64 [pairs]: IoU of each pair.
        score_differences: float64 [pairs]: absolute difference of the scores of each pair.
        shifts: float64 [pairs, 2]: x and y in pixels from the center of the second program's box to
            that of the first.
    """

    boxes: tuple[int, int]
    ious: npt.NDArray[np.float64]
    score_differences: npt.NDArray[np.float64]
    shifts: npt.NDArray[np.float64]

    @property
    def share(self) -> float:
        """The part of all boxes that are in agreeing pairs, 0..1; 1 if there are no boxes."""
        agreeing = (self.ious >= SAME_IOU) & (self.score_differences <= SAME_SCORE)
        return 2 * int(agreeing.sum()) / sum(self.boxes) if any(self.boxes) else 1.0


def agreement(frames: Iterable[tuple[Detections, Detections]]) -> Agreement:
    """Pair the boxes of each frame, largest IoU first, and collect the differences.

    Args:
        frames: the detections of both programs in each frame, in the same pixels.
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
    """Yields the row of the first, the row of the second, and the IoU of each pair."""
    ious = sv.box_iou_batch(one.boxes, other.boxes)
    ious[np.not_equal.outer(np.array(one.names, str), np.array(other.names, str))] = 0
    while ious.max(initial=0) >= PAIR_IOU:
        row, column = map(int, np.unravel_index(ious.argmax(), ious.shape))
        yield row, column, float(ious[row, column])
        ious[row], ious[:, column] = 0, 0
