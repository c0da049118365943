"""Places houses, trees and lamps so that they do not block the camera's view of the roads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tools.demo.streets.camera import Camera
from tools.demo.streets.houses import Prop, house, lots
from tools.demo.streets.layout import Layout
from tools.demo.streets.shapes import Rect
from tools.demo.streets.trees import street_lamp, tree

Floats = NDArray[np.float64]
KEEP_CLEAR_M = 26.0


def furnish(
    layout: Layout,
    camera: Camera,
    *,
    seed: int,
    stories: tuple[int, int],
    trees: float,
    lamps_on: bool,
) -> list[Prop]:
    """Set up all props of a street."""
    rng = np.random.default_rng([seed, 1])
    eye = camera.position_m[:2]
    sights = _sights(layout)
    setback = float(rng.choice([0.0, 2.5, 5.0]))
    houses = [
        house(
            lot,
            rng,
            stories=int(rng.integers(stories[0], stories[1] + 1)),
            lamps_on=lamps_on,
        )
        for lot in lots(layout, rng, setback_m=setback)
        if not _in_the_way(lot, eye, sights) and _in_view(lot, camera)
    ]
    return houses + list(_planted(layout, rng, camera, trees=trees, lamps_on=lamps_on))


def _sights(layout: Layout) -> Floats:
    """Points on the roads near the junction that houses must not hide, [N, 2]."""
    marks = np.arange(4.0, KEEP_CLEAR_M, 5.0)
    zero = np.zeros_like(marks)
    arms = [
        (layout.south_m, np.column_stack([zero, -marks])),
        (layout.north_m, np.column_stack([zero, marks])),
        (layout.west_m, np.column_stack([-marks, zero])),
        (layout.east_m, np.column_stack([marks, zero])),
    ]
    return np.vstack([np.zeros((1, 2)), *(points for length, points in arms if length)])


def _in_the_way(rect: Rect, eye: Floats, sights: Floats) -> bool:
    """Whether a lot (with a margin) crosses a line from the camera to a point to be seen."""
    x0, x1, y0, y1 = rect
    low, high = np.array([x0, y0]) - 2.5, np.array([x1, y1]) + 2.5
    ray = sights - eye
    with np.errstate(divide="ignore", invalid="ignore"):
        enter, leave = (low - eye) / ray, (high - eye) / ray
    first = np.nanmax(np.minimum(enter, leave), axis=1)
    last = np.nanmin(np.maximum(enter, leave), axis=1)
    return bool(((first <= last) & (last > 0) & (first < 1)).any())


def _in_view(rect: Rect, camera: Camera) -> bool:
    x0, x1, y0, y1 = rect
    feet = np.array([[x, y, 0.0] for x in (x0, x1) for y in (y0, y1)])
    view = camera.view(feet)
    wide = 1.3 * camera.width / 2 / camera.focal_px
    return bool(((view[:, 2] > 1) & (np.abs(view[:, 0]) < wide * view[:, 2] + 12)).any())


def _planted(
    layout: Layout, rng: np.random.Generator, camera: Camera, *, trees: float, lamps_on: bool
) -> Iterator[Prop]:
    """Line the curbs with trees and lamps."""
    eye = camera.position_m[:2]
    spots = list(_curb_spots(layout))
    for i, (x, y, inward) in enumerate(spots):
        near = float(np.hypot(x - eye[0], y - eye[1]))
        if near < 9.0 or not _in_view((x, x, y, y), camera):
            continue
        if i % 3 == 0:
            yield street_lamp(
                x, y, heading_rad=float(np.arctan2(inward[1], inward[0])), lamps_on=lamps_on
            )
        elif rng.random() < trees and near > 12:
            away = -0.6 * inward
            yield tree(x + away[0], y + away[1], rng)


def _curb_spots(layout: Layout) -> Iterator[tuple[float, float, Floats]]:
    """Spots along the roads on both sidewalks with the direction toward the road."""
    beside, clear = layout.half_m + 0.9, layout.half_m + 6.0
    gap = 8.0
    arms = [
        (layout.south_m, np.array([0.0, -1.0])),
        (layout.north_m and layout.north_m - layout.half_m - 4.0, np.array([0.0, 1.0])),
        (layout.west_m, np.array([-1.0, 0.0])),
        (layout.east_m, np.array([1.0, 0.0])),
    ]
    for length, along in arms:
        across = np.array([-along[1], along[0]])
        for distance in np.arange(clear, max(length, clear), gap):
            for side in (-1.0, 1.0):
                x, y = distance * along + side * beside * across
                yield float(x), float(y), -side * across
