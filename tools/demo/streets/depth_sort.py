"""Sorts objects from back to front for the painter's algorithm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tools.demo.streets.footprint import in_front

Bounds = tuple[int, int, int, int]


def far_to_near(
    bases: NDArray[np.float64], bounds: Sequence[Bounds], *, eye: NDArray[np.float64]
) -> list[int]:
    """Order objects so that each is drawn after everything it hides.

    Args:
        bases: footprints [N, 4, 2] in meters.
        bounds: rectangles in the picture [N], x0, y0, x1, y1; only overlapping ones are compared.
        eye: the camera's position on the ground, [2] in meters.

    Returns:
        Indices from the back to the front.
    """
    if not len(bases):
        return []
    box = np.array(bounds)
    meet = (box[:, None, :2] < box[None, :, 2:]).all(axis=2)
    meet &= meet.T
    hides = in_front(bases[:, None], bases, eye=eye) & meet
    np.fill_diagonal(hides, False)
    distance = np.linalg.norm(bases.mean(axis=1) - eye, axis=1)
    left = set(range(len(bases)))
    order: list[int] = []
    pending = hides.sum(axis=1)
    while left:
        # The farthest object with nothing left behind it, or in a cycle, with the fewest behind it.
        chosen = min(left, key=lambda i: (pending[i], -distance[i]))
        left.remove(chosen)
        order.append(chosen)
        pending -= hides[:, chosen]
    return order
