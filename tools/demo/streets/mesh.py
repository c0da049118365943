"""Low-poly meshes: convex parts made of flat, colored polygons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

Rgb = tuple[float, float, float]
"""A color as red, green and blue in 0..1."""

Points = NDArray[np.float64]
"""Corners in meters, [N, 3]."""


@dataclass(frozen=True)
class Face:
    """One flat polygon.

    Attributes:
        points: corners [N, 3] in meters, in either winding.
        rgb: surface color.
        emission: 0 for a lit surface, 1 for one that shines in its own color.
        two_sided: seen from both sides, like a spoke; the others are culled from behind.
    """

    points: Points
    rgb: Rgb
    emission: float = 0.0
    two_sided: bool = False


@dataclass(frozen=True)
class Part:
    """A convex body with the decals on it: its faces hide each other by culling alone.

    Attributes:
        faces: body faces first, then decals, in drawing order.
        layer: lower layers are drawn first; parts of one layer go from far to near.
    """

    faces: Sequence[Face]
    layer: int = 0


@dataclass(frozen=True)
class Mesh:
    """Parts flattened to arrays, ready to place and draw.

    Attributes:
        points: float64 [P, 3], all corners of all faces.
        starts: int64 [F + 1], where each face's corners begin.
        anchors: float64 [F, 3], the faces' middles.
        normals: float64 [F, 3], outward unit normals.
        rgb: float64 [F, 3] in 0..1.
        emission: float64 [F] in 0..1.
        two_sided: bool [F].
        part: int64 [F], index of each face's part.
        centers: float64 [K, 3], the parts' middles.
        layers: int64 [K].
    """

    points: Points
    starts: NDArray[np.int64]
    anchors: Points
    normals: Points
    rgb: NDArray[np.float64]
    emission: NDArray[np.float64]
    two_sided: NDArray[np.bool_]
    part: NDArray[np.int64]
    centers: Points
    layers: NDArray[np.int64] = field(repr=False)


def assemble(parts: Sequence[Part]) -> Mesh:
    """Flatten parts to one mesh, with every face's normal turned away from its part's middle."""
    faces = [face for part in parts for face in part.faces]
    sizes = np.array([len(part.faces) for part in parts])
    index = np.repeat(np.arange(len(parts)), sizes)
    points = np.concatenate([face.points for face in faces])
    counts = np.array([len(face.points) for face in faces])
    starts = np.concatenate([[0], np.cumsum(counts)])
    anchors = np.add.reduceat(points, starts[:-1]) / counts[:, None]
    first_face = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    centers = np.add.reduceat(anchors, first_face) / sizes[:, None]
    normals = _normals(points, starts)
    inward = np.einsum("ij,ij->i", normals, anchors - centers[index]) < 0
    normals[inward] *= -1
    return Mesh(
        points=points,
        starts=starts,
        anchors=anchors,
        normals=normals,
        rgb=np.array([face.rgb for face in faces], np.float64),
        emission=np.array([face.emission for face in faces], np.float64),
        two_sided=np.array([face.two_sided for face in faces]),
        part=index,
        centers=centers,
        layers=np.array([part.layer for part in parts]),
    )


def _normals(points: Points, starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Newell's normals: right for any flat polygon, however its first corners lie."""
    following = np.arange(1, len(points) + 1)
    following[starts[1:] - 1] = starts[:-1]
    x, y, z = points.T
    u, v, w = points[following].T
    areas = np.column_stack([y * w - z * v, z * u - x * w, x * v - y * u])
    normals = np.add.reduceat(areas, starts[:-1])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.asarray(normals / np.maximum(length, 1e-12), np.float64)


def quad(*corners: ArrayLike) -> Points:
    """Stack four corners, as seen from outside: low left, low right, high right, high left."""
    return np.array(corners, np.float64)


def panel(
    base: Points,
    *,
    across: tuple[float, float] = (0.0, 1.0),
    up: tuple[float, float] = (0.0, 1.0),
) -> Points:
    """Cut a window out of a quad: shares of its width (left to right) and height (low to high)."""
    return np.asarray(panels(base, np.array([[*across, *up]]))[0], np.float64)


def panels(base: Points, cuts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut many windows [N, 4, 3] out of a quad; cuts [N, 4] are left, right, low, high shares."""
    u = cuts[:, [0, 1, 1, 0], None]
    v = cuts[:, [2, 2, 3, 3], None]
    low = base[0] + u * (base[1] - base[0])
    high = base[3] + u * (base[2] - base[3])
    return np.asarray(low + v * (high - low), np.float64)
