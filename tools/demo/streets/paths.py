"""Smooth paths through the streets, parameterized by their length."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from tools.demo.streets.layout import Layout

STEP_M = 0.5
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Path:
    """A path from one end of the streets to another.

    Attributes:
        route: names of its two ends.
        points: float64 [N, 2], positions in meters, about `STEP_M` apart.
        along_m: float64 [N], distance from the start.
        heading_rad: float64 [N], direction of travel, counterclockwise from +x, unwrapped.
        bend_per_m: float64 [N], how sharply it turns (absolute curvature).
    """

    route: tuple[str, str]
    points: Floats
    along_m: Floats
    heading_rad: Floats
    bend_per_m: Floats

    @property
    def length_m(self) -> float:
        """Length of the path."""
        return float(self.along_m[-1])

    def place(self, along_m: Floats) -> Floats:
        """Positions and headings [N, 3] (x, y, radians) at distances [N] from the start."""
        columns = (self.points[:, 0], self.points[:, 1], self.heading_rad)
        return np.stack([np.interp(along_m, self.along_m, c) for c in columns], axis=-1)


def routes(layout: Layout) -> list[tuple[str, str]]:
    """Every pair of two different ends of the streets."""
    return list(permutations(layout.terminals(), 2))


@lru_cache(maxsize=256)
def path(layout: Layout, route: tuple[str, str], lane: int) -> Path:
    """Make a path between two ends of the streets in a lane; -1 is the bicycle lane."""
    ends = layout.terminals()
    centers = _centers(ends[route[0]], ends[route[1]])
    return _path(route, centers, layout.lane_offset_m(lane))


def _centers(start: list[tuple[float, float]], end: list[tuple[float, float]]) -> Floats:
    shared = start[-1] if len(start) > 1 and start[-1] == end[-1] else (0.0, 0.0)
    way = [p for p in start if p != shared] + [shared] + [p for p in reversed(end) if p != shared]
    return np.array([p for i, p in enumerate(way) if i == 0 or p != way[i - 1]])


def _path(route: tuple[str, str], centers: Floats, offset_m: float) -> Path:
    line = _shifted(_corners_only(centers), offset_m)
    pieces = [line[:1]]
    for before, corner, after in zip(line[:-2], line[1:-1], line[2:], strict=True):
        pieces.append(_rounded(before, corner, after, offset_m))
    dense = _resample(np.vstack([*pieces, line[-1:]]))
    steps = np.diff(dense, axis=0)
    heading = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    heading = np.concatenate([heading[:1], (heading[:-1] + heading[1:]) / 2, heading[-1:]])
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(steps, axis=1))])
    return Path(route, dense, along, heading, np.abs(np.gradient(heading, along)))


def _corners_only(points: Floats) -> Floats:
    steps = np.diff(points, axis=0)
    turn = np.abs(steps[:-1, 0] * steps[1:, 1] - steps[:-1, 1] * steps[1:, 0]) > 1e-6
    return np.asarray(points[np.concatenate([[True], turn, [True]])], np.float64)


def _shifted(points: Floats, offset_m: float) -> Floats:
    """Shift a path with right angles to its right side."""
    steps = np.diff(points, axis=0)
    unit = steps / np.linalg.norm(steps, axis=1, keepdims=True)
    right = offset_m * np.column_stack([unit[:, 1], -unit[:, 0]])
    moved = points.copy()
    moved[:-1] += right
    moved[1:] += right
    return moved


def _rounded(before: Floats, corner: Floats, after: Floats, offset_m: float) -> Floats:
    """Replace a corner by a smooth curve: wide for left turns, tight for right ones."""
    into, out = before - corner, after - corner
    left = into[0] * out[1] - into[1] * out[0] < 0
    reach = 6.5 + offset_m if left else 5.5
    a = corner + into / np.linalg.norm(into) * reach
    b = corner + out / np.linalg.norm(out) * reach
    t = np.linspace(0, 1, 24)[:, None]
    pull = 0.6
    c1, c2 = a + pull * (corner - a), b + pull * (corner - b)
    s = 1 - t
    return np.asarray(s**3 * a + 3 * s**2 * t * c1 + 3 * s * t**2 * c2 + t**3 * b)


def _resample(points: Floats) -> Floats:
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    marks = np.linspace(0, along[-1], max(2, round(along[-1] / STEP_M) + 1))
    return np.column_stack([np.interp(marks, along, points[:, k]) for k in range(2)])
