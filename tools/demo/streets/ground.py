"""The flat parts of a street: asphalt, curbs, sidewalks, lawns and markings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from tools.demo.streets.camera import Camera
from tools.demo.streets.figure import SUBPIXEL_BITS, Image, fixed
from tools.demo.streets.layout import REACH_M, Layout
from tools.demo.streets.lighting import Lighting
from tools.demo.streets.mesh import Rgb
from tools.demo.streets.palette import MARKING, YELLOW_MARKING
from tools.demo.streets.shapes import Rect

UP = np.array([[0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class GroundColors:
    """Surface colors of one street."""

    asphalt: Rgb
    paving: Rgb
    lawn: Rgb
    bike_lane: Rgb | None
    yellow_center: bool


def paint_ground(
    image: Image, *, layout: Layout, colors: GroundColors, camera: Camera, lighting: Lighting
) -> None:
    """Draw all flat surfaces into an RGB image."""
    for rect, rgb in _surfaces(layout, colors):
        _fill(image, rect, rgb, camera=camera, lighting=lighting)
    _veil(image, camera, lighting)


def _veil(image: Image, camera: Camera, lighting: Lighting) -> None:
    """Fade the ground into the horizon, row by row, because the camera's horizon is level."""
    rows = (np.arange(camera.height) + 0.5 - camera.height / 2) / camera.focal_px
    fall = -(camera.rotation[1, 2] * rows + camera.rotation[2, 2])
    distance = camera.position_m[2] * np.hypot(1, rows) / np.maximum(fall, 1e-4)
    clear = np.exp(-lighting.haze_per_m * distance) * np.clip((230 - distance) / 140, 0, 1)
    # Fixed-point arithmetic for speed, because this runs over all pixels of all training pictures.
    keep = np.where(fall > 1e-4, np.rint(clear * 256), 256).astype(np.uint16)[:, None, None]
    horizon = np.rint(np.asarray(lighting.horizon) * 255).astype(np.uint16)
    first = int(np.argmax(fall > 1e-4))
    ground = image[first:].astype(np.uint16)
    ground *= keep[first:]
    ground += horizon * (256 - keep[first:])
    ground >>= 8
    image[first:] = ground


def _fill(image: Image, rect: Rect, rgb: Rgb, *, camera: Camera, lighting: Lighting) -> None:
    x0, x1, y0, y1 = rect
    world = np.array([[x0, y0, 0], [x1, y0, 0], [x1, y1, 0], [x0, y1, 0]], np.float64)
    polygon = camera.polygon(world)
    if len(polygon) < 3 or polygon[:, 1].max() < 0 or polygon[:, 1].min() > camera.height:
        return
    color = lighting.shade(np.array([rgb]), UP)[0]
    cv2.fillConvexPoly(image, fixed(polygon), color.tolist(), cv2.LINE_8, SUBPIXEL_BITS)


def _surfaces(layout: Layout, colors: GroundColors) -> Iterator[tuple[Rect, Rgb]]:
    far = 3 * REACH_M
    yield (-far, far, -far, far), colors.paving
    for x0, x1, y0, y1 in layout.blocks():
        inset = layout.walk_m
        yield (x0 + inset, x1 - inset, y0 + inset, y1 - inset), colors.lawn
    red, green, blue = colors.paving
    curb = (min(1.0, red * 1.12), min(1.0, green * 1.12), min(1.0, blue * 1.12))
    for x0, x1, y0, y1 in layout.roads():
        yield (x0 - 0.28, x1 + 0.28, y0 - 0.28, y1 + 0.28), curb
    for rect in layout.roads():
        yield rect, colors.asphalt
    for start, end, vertical in _stretches(layout):
        yield from _along(layout, colors, start, end, vertical=vertical)
    yield from _crosswalks(layout)


def _stretches(layout: Layout) -> Iterator[tuple[float, float, bool]]:
    """Pieces of road between junctions: from, to, and whether they run along y."""
    half = layout.half_m + 4.6
    crossing = layout.west_m > 0 or layout.east_m > 0
    if layout.south_m:
        yield -layout.south_m, -half if crossing else 0.0, True
    if layout.north_m:
        yield half if crossing else 0.0, layout.north_m - layout.half_m - 1.0, True
    main = layout.south_m > 0
    if layout.west_m:
        yield -layout.west_m, -half if main else 0.0, False
    if layout.east_m:
        yield half if main else 0.0, layout.east_m, False


def _strip(a: float, b: float, low: float, high: float, *, vertical: bool) -> Rect:
    return (low, high, a, b) if vertical else (a, b, low, high)


def _along(
    layout: Layout, colors: GroundColors, start: float, end: float, *, vertical: bool
) -> Iterator[tuple[Rect, Rgb]]:
    """Markings along one stretch: bicycle lanes, edge lines, dashes and the center."""
    edge = layout.half_m - layout.bike_m
    for side in (-1, 1):
        if colors.bike_lane:
            low, high = sorted((side * edge, side * layout.half_m))
            yield _strip(start, end, low, high, vertical=vertical), colors.bike_lane
        yield _strip(start, end, side * edge - 0.07, side * edge + 0.07, vertical=vertical), MARKING
        for lane in range(1, layout.lanes):
            middle = side * (layout.median_m / 2 + lane * layout.lane_m)
            yield from _dashes(start, end, middle, gap_m=6.0, vertical=vertical)
    yield from _center(layout, colors, start, end, vertical=vertical)


def _center(
    layout: Layout, colors: GroundColors, start: float, end: float, *, vertical: bool
) -> Iterator[tuple[Rect, Rgb]]:
    if layout.median_m:
        half = layout.median_m / 2
        yield _strip(start, end, -half, half, vertical=vertical), colors.paving
        yield _strip(start, end, 0.25 - half, half - 0.25, vertical=vertical), colors.lawn
    elif colors.yellow_center:
        for low in (-0.2, 0.08):
            yield _strip(start, end, low, low + 0.12, vertical=vertical), YELLOW_MARKING
    else:
        yield from _dashes(start, end, 0.0, gap_m=5.0, vertical=vertical)


def _dashes(
    start: float, end: float, middle: float, *, gap_m: float, vertical: bool
) -> Iterator[tuple[Rect, Rgb]]:
    for a in np.arange(start, end, gap_m):
        dash = (a, min(a + 2.5, end), middle - 0.075, middle + 0.075)
        yield _strip(*dash, vertical=vertical), MARKING


def _crosswalks(layout: Layout) -> Iterator[tuple[Rect, Rgb]]:
    """Zebra stripes and stop lines on every arm of the junction."""
    half = layout.half_m
    arms = [
        (layout.south_m, -1, True),
        (layout.north_m, 1, True),
        (layout.west_m, -1, False),
        (layout.east_m, 1, False),
    ]
    if sum(length > 0 for length, _, _ in arms) < 3:
        return
    for length, sign, vertical in arms:
        if not length:
            continue
        a, b = sorted((sign * (half + 0.8), sign * (half + 3.4)))
        for low in np.arange(0.35 - half, half - 0.6, 1.0):
            yield _strip(a, b, low, low + 0.5, vertical=vertical), MARKING
        a, b = sorted((sign * (half + 4.1), sign * (half + 4.5)))
        # Right-hand traffic: vehicles from the south stop on the east side.
        side = -sign if vertical else sign
        low, high = sorted((side * layout.median_m / 2, side * half))
        yield _strip(a, b, low, high, vertical=vertical), MARKING
