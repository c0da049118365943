"""A mesh placed in the world and projected to the picture: polygons ready to fill."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.demo.streets.camera import NEAR_M, Camera, clip_near
from tools.demo.streets.lighting import Lighting
from tools.demo.streets.mesh import Mesh

SUBPIXEL_BITS = 4

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """The visible faces of one object, in drawing order.

    Attributes:
        points: int32 [P, 2], corners of all faces in fixed-point pixels.
        starts: where each face's corners begin in `points`, F + 1 numbers.
        part_starts: where each part's first corner lies in `points`, K + 1 numbers.
        colors: RGB 0..255 of each face.
        bounds: x from, y from, x to, y to of all corners, in pixels, not cut at the border.
    """

    points: NDArray[np.int32]
    starts: list[int]
    part_starts: list[int]
    colors: list[list[float]]
    bounds: tuple[int, int, int, int]


def place(points: Floats, spot: Floats) -> Floats:
    """Turn local points [N, 3] into world points at (x, y, heading in radians)."""
    cos, sin = np.cos(spot[2]), np.sin(spot[2])
    turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    return np.asarray(points @ turn + [spot[0], spot[1], 0.0], np.float64)


def project(mesh: Mesh, spot: Floats, *, camera: Camera, lighting: Lighting) -> Figure | None:
    """Place, cull, sort, light and project a mesh; None if nothing of it is in the picture."""
    view = camera.view(place(mesh.points, spot))
    if not in_sight(view, camera):
        return None
    eye = place(camera.position_m[None] - [spot[0], spot[1], 0], np.array([0, 0, -spot[2]]))[0]
    facing = np.einsum("ij,ij->i", mesh.normals, eye - mesh.anchors)
    faces = _drawing_order(mesh, eye)
    faces = faces[(facing[faces] > 0) | mesh.two_sided[faces]]
    points, counts = _corners(view, mesh.starts, faces, camera)
    faces, counts = faces[counts > 0], counts[counts > 0]
    bounds = _bounds(points, camera)
    if bounds is None:
        return None
    flip = np.where(facing[faces] < 0, -1.0, 1.0)[:, None]
    colors = lighting.shade(
        mesh.rgb[faces],
        place(mesh.normals[faces] * flip, np.array([0, 0, spot[2]])),
        emission=mesh.emission[faces],
        distance_m=float(np.linalg.norm(eye)),
    )
    starts = np.concatenate([[0], np.cumsum(counts)])
    fresh = np.flatnonzero(np.diff(mesh.part[faces], prepend=-1))
    return Figure(
        fixed(points),
        starts.tolist(),
        [*starts[fresh].tolist(), len(points)],
        colors.tolist(),
        bounds,
    )


def _bounds(points: Floats, camera: Camera) -> tuple[int, int, int, int] | None:
    """Rectangle around the corners; None if it lies outside the picture."""
    if not len(points):
        return None
    x0, y0 = np.floor(points.min(axis=0)).astype(int).tolist()
    x1, y1 = (np.ceil(points.max(axis=0)) + 1).astype(int).tolist()
    if x1 <= 0 or y1 <= 0 or x0 >= camera.width or y0 >= camera.height:
        return None
    return x0, y0, x1, y1


def in_sight(view: Floats, camera: Camera) -> bool:
    """Whether any of the points' hull can be in the picture (with a generous margin)."""
    reach = 0.55 * np.array([camera.width, camera.height]) / camera.focal_px
    depth = view[:, 2:]
    sides = (view[:, :2] > -reach * depth).any(axis=0) & (view[:, :2] < reach * depth).any(axis=0)
    return bool(sides.all() and depth.max() > NEAR_M)


def _drawing_order(mesh: Mesh, eye: Floats) -> NDArray[np.int64]:
    """Face indices by layer, then by the distance of their part, then as modeled."""
    rank = np.empty(len(mesh.layers), np.int64)
    distance = np.linalg.norm(mesh.centers - eye, axis=1)
    rank[np.lexsort((-distance, mesh.layers))] = np.arange(len(rank))
    return np.argsort(rank[mesh.part], kind="stable")


def _corners(
    view: Floats, starts: NDArray[np.int64], faces: NDArray[np.int64], camera: Camera
) -> tuple[Floats, NDArray[np.int64]]:
    """Project the corners of some faces; returns them with their number per face."""
    counts = starts[faces + 1] - starts[faces]
    skip = np.repeat(starts[faces] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
    picked = view[np.arange(len(skip)) + skip]
    if view[:, 2].min() <= NEAR_M:
        cuts = [clip_near(piece) for piece in np.split(picked, np.cumsum(counts)[:-1])]
        counts = np.array([len(cut) for cut in cuts], np.int64)
        picked = np.concatenate(cuts)
    return camera.pixels(picked), counts


def paint(figure: Figure, image: Image, *, offset_px: tuple[int, int] = (0, 0)) -> None:
    """Fill a figure's polygons into an RGB image whose corner lies at `offset_px`."""
    points = figure.points - np.array(offset_px, np.int32) * (1 << SUBPIXEL_BITS)
    for start, end, color in zip(figure.starts, figure.starts[1:], figure.colors, strict=False):
        cv2.fillConvexPoly(image, points[start:end], color, cv2.LINE_8, SUBPIXEL_BITS)


def stencil(figure: Figure, image: Image, *, offset_px: tuple[int, int], value: int) -> None:
    """Fill a figure's silhouette with one value; every part is convex, so its hull is enough."""
    points = figure.points - np.array(offset_px, np.int32) * (1 << SUBPIXEL_BITS)
    for start, end in zip(figure.part_starts, figure.part_starts[1:], strict=False):
        hull = cv2.convexHull(points[start:end])
        cv2.fillConvexPoly(image, hull, value, cv2.LINE_8, SUBPIXEL_BITS)


def fixed(polygon: NDArray[np.floating]) -> NDArray[np.int32]:
    """Pixel coordinates as the fixed-point numbers that OpenCV's polygons take."""
    return np.asarray(np.rint(polygon * (1 << SUBPIXEL_BITS)), np.int32)
