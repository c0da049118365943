"""Assigns detections to tracks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.intp]
"""[n]: indices of tracks or of detections."""


def overlap(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], margin: float
) -> npt.NDArray[np.float32]:
    """Intersection over union of boxes that are enlarged by a margin (C-BIoU).

    Args:
        first: n places, [n, 2, 2]; see `kalman`.
        second: m places, [m, 2, 2].
        margin: added to each side, as a fraction of the box's size.

    Returns:
        float32 [n, m], 0 to 1.
    """
    low_1, high_1, area_1 = _extent(first, margin)
    low_2, high_2, area_2 = _extent(second, margin)
    sides = np.minimum(high_1[:, :, None], high_2[:, None])
    sides -= np.maximum(low_1[:, :, None], low_2[:, None])
    np.maximum(sides, 0, out=sides)
    similarity: npt.NDArray[np.float32] = sides[0] * sides[1]
    union = np.add.outer(area_1, area_2)
    union -= similarity
    # Two boxes without area have an overlap of 0, not 0/0.
    np.maximum(union, np.finfo(np.float32).tiny, out=union)
    similarity /= union
    return similarity


def _extent(places: npt.NDArray[np.float64], margin: float) -> tuple[npt.NDArray[np.float32], ...]:
    """Low and high edges along x and y, [2, n], and areas, [n], in single precision for speed."""
    centre, size = places.transpose(1, 2, 0).astype(np.float32, order="C")
    reach = (0.5 + np.float32(margin)) * size
    return centre - reach, centre + reach, 4 * reach[0] * reach[1]


def pairs(similarity: npt.NDArray[np.float32], threshold: float) -> tuple[Rows, Rows]:
    """Greedy assignment of rows to columns; it overwrites the matrix.

    A row and a column that are each other's most similar are a pair. This repeats with the rest
    until no pair is left. On clips with and without crowds, the optimal assignment kept identities
    no better.

    Args:
        similarity: float32 [n, m].
        threshold: least similarity of a pair.

    Returns:
        The rows and the columns of the pairs, each [k].
    """
    similarity[similarity < threshold] = 0
    rows = np.arange(len(similarity))
    column_of = np.full(len(similarity), -1)
    while True:
        best = similarity.argmax(axis=1)
        mutual = similarity.argmax(axis=0)[best] == rows
        mutual &= similarity[rows, best] > 0
        if not mutual.any():
            paired = np.flatnonzero(column_of >= 0)
            return paired, column_of[paired]
        column_of[mutual] = best[mutual]
        similarity[mutual] = 0
        similarity[:, best[mutual]] = 0
