"""Building blocks of the models: frustums, extrusions, tubes, discs and balls.

Local axes: x forward, y to the left, z up, in meters; the origin lies on the ground.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tools.demo.streets.mesh import Face, Points, Rgb, quad

Rect = tuple[float, float, float, float]
"""x from, x to, y from, y to, in meters."""


def frustum(bottom: Rect, top: Rect, *, z_m: tuple[float, float]) -> dict[str, Points]:
    """Quads of a box whose top may differ from its bottom, as seen from outside.

    Returns:
        The quads by name: front (+x), back, left (+y), right and top. The bottom is never visible.
    """
    low = _corners(bottom, z_m[0])
    high = _corners(top, z_m[1])
    sides = {"back": (3, 0), "right": (0, 1), "front": (1, 2), "left": (2, 3)}
    quads = {name: quad(low[a], low[b], high[b], high[a]) for name, (a, b) in sides.items()}
    return quads | {"top": high}


def box(rect: Rect, *, z_m: tuple[float, float]) -> dict[str, Points]:
    """Quads of an upright box; see `frustum`."""
    return frustum(rect, rect, z_m=z_m)


def _corners(rect: Rect, z_m: float) -> Points:
    x0, x1, y0, y1 = rect
    return np.array([[x0, y0, z_m], [x1, y0, z_m], [x1, y1, z_m], [x0, y1, z_m]], np.float64)


def painted(quads: dict[str, Points], rgb: Rgb) -> list[Face]:
    """Give all quads one color."""
    return [Face(points, rgb) for points in quads.values()]


def extrude(profile: Sequence[tuple[float, float]], *, half_width_m: float, rgb: Rgb) -> list[Face]:
    """Extrude a convex side view, (x, z) corners in order, to both sides."""
    xz = np.array(profile, np.float64)
    left = np.column_stack([xz[:, 0], np.full(len(xz), half_width_m), xz[:, 1]])
    right = left * [1.0, -1.0, 1.0]
    faces = [Face(left, rgb), Face(right, rgb)]
    for i in range(len(xz)):
        faces.append(Face(quad(left[i - 1], left[i], right[i], right[i - 1]), rgb))
    return faces


def tube(
    start: ArrayLike, end: ArrayLike, *, radius_m: tuple[float, float], rgb: Rgb
) -> list[Face]:
    """A five-sided rod between two points with a radius at each end, closed at its end."""
    a, b = np.asarray(start, np.float64), np.asarray(end, np.float64)
    axis = (b - a) / np.linalg.norm(b - a)
    side = np.cross(axis, [0.0, 0.0, 1.0] if abs(axis[2]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    angles = np.linspace(0, 2 * np.pi, 6)[:-1, None]
    ring = np.cos(angles) * side + np.sin(angles) * np.cross(axis, side)
    low, high = a + radius_m[0] * ring, b + radius_m[1] * ring
    walls = [Face(quad(low[i - 1], low[i], high[i], high[i - 1]), rgb) for i in range(5)]
    return [*walls, Face(low, rgb), Face(high, rgb)]


def disc(center: ArrayLike, *, radius_m: float, rgb: Rgb, sides: int = 12) -> Face:
    """An upright wheel face in the x-z plane."""
    return Face(_circle(center, radius_m, sides), rgb)


def hoop(center: ArrayLike, *, radius_m: float, rim_m: float, rgb: Rgb) -> list[Face]:
    """A thin ring in the x-z plane, seen from both sides: a bicycle's tire."""
    outer = _circle(center, radius_m, 14)
    inner = _circle(center, radius_m - rim_m, 14)
    return [
        Face(quad(outer[i - 1], outer[i], inner[i], inner[i - 1]), rgb, two_sided=True)
        for i in range(len(outer))
    ]


def _circle(center: ArrayLike, radius_m: float, sides: int) -> NDArray[np.float64]:
    angles = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    round_xz = np.column_stack([np.cos(angles), np.zeros(sides), np.sin(angles)])
    return np.asarray(center, np.float64) + radius_m * round_xz


def ball(center: ArrayLike, *, radius_m: ArrayLike, rgb: Rgb, sides: int = 7) -> list[Face]:
    """A faceted ball (or ellipsoid, with three radii), flat-shaded."""
    levels = np.radians([-90.0, -45.0, 0.0, 45.0, 90.0])
    angles = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    rings = [
        np.column_stack(
            [np.cos(t) * np.cos(angles), np.cos(t) * np.sin(angles), np.full(sides, np.sin(t))]
        )
        for t in levels
    ]
    scaled = [np.asarray(center, np.float64) + ring * np.asarray(radius_m) for ring in rings]
    return [
        Face(quad(low[i - 1], low[i], high[i], high[i - 1]), rgb)
        for low, high in itertools.pairwise(scaled)
        for i in range(sides)
    ]
