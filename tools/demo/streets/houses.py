"""Houses along the sidewalks: boxes with window grids, shops, awnings and roofs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tools.demo.streets.body import lighter
from tools.demo.streets.layout import REACH_M, Layout
from tools.demo.streets.mesh import Face, Mesh, Part, Points, Rgb, assemble, panel, panels
from tools.demo.streets.palette import AWNINGS, FACADES, LIT_WINDOWS, ROOFS, pick
from tools.demo.streets.shapes import Rect, box, frustum, painted

GLASS = ((0.35, 0.45, 0.54), (0.45, 0.56, 0.64), (0.28, 0.37, 0.46))
SHOP: Rgb = (0.23, 0.28, 0.33)
STORY_M = 3.3
BAY_M = 2.9


@dataclass(frozen=True)
class Prop:
    """A static object, which hides what is behind it.

    Attributes:
        mesh: geometry in its own coordinates.
        base: float64 [4, 2], its footprint, for sorting by depth.
        height_m: its height.
        spot: float64 [3], its position: x, y in meters and heading in radians.
        lamp_m: (x, y, z) of its lamp, if it has one.
    """

    mesh: Mesh
    base: Points
    height_m: float
    spot: Points = field(default_factory=lambda: np.zeros(3))
    lamp_m: tuple[float, float, float] | None = None


def base_of(rect: Rect) -> Points:
    """Corners [4, 2] of a rectangle on the ground."""
    x0, x1, y0, y1 = rect
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)


def lots(layout: Layout, rng: np.random.Generator, *, setback_m: float) -> Iterator[Rect]:
    """Divide the edges of every block that face a road into building lots."""
    inset = layout.walk_m + setback_m
    for x0, x1, y0, y1 in layout.blocks():
        left, right, low, high = x0 + inset, x1 - inset, y0 + inset, y1 - inset
        depth = min(11.0, max(4.0, (high - low) / 2 - 0.5))
        for y in (low, high - depth):
            if abs(y) < REACH_M - 15:
                for a, b in _split(left, right, rng):
                    yield a, b, y, y + depth
        for x in (left, right - 11.0):
            if abs(x) < REACH_M - 20 and right - left > 22:
                for a, b in _split(low + depth, high - depth, rng):
                    yield x, x + 11.0, a, b


def _split(start: float, end: float, rng: np.random.Generator) -> Iterator[tuple[float, float]]:
    at = start
    while end - at > 5.0:
        width = float(rng.uniform(8.0, 15.0))
        if end - at - width < 5.0:
            width = end - at
        yield at, at + width
        at += width


HOUSES = 24
"""Different facades; each is built once per process for every size and shared by all streets."""


def house(rect: Rect, rng: np.random.Generator, *, stories: int, lamps_on: bool) -> Prop:
    """Put one of the `HOUSES` on a lot, stretched a little to fill it."""
    x0, x1, y0, y1 = rect
    size = (x1 - x0, y1 - y0)
    columns = (2 if size[0] < 7 else 4, 2 if size[1] < 7 else 4)
    mesh = _house(int(rng.integers(HOUSES)), columns, stories, lamps_on=lamps_on)
    stretch = np.array([size[0] / (BAY_M * columns[0]), size[1] / (BAY_M * columns[1]), 1.0])
    fitted = replace(
        mesh,
        points=mesh.points * stretch,
        anchors=mesh.anchors * stretch,
        centers=mesh.centers * stretch,
    )
    height = float(mesh.points[:, 2].max())
    return Prop(fitted, base_of(rect), height, np.array([(x0 + x1) / 2, (y0 + y1) / 2, 0.0]))


@cache
def _house(variant: int, columns: tuple[int, int], stories: int, *, lamps_on: bool) -> Mesh:
    """Build a house about the origin with a number of windows along x and along y."""
    rng = np.random.default_rng([8, variant])
    wall = pick(rng, FACADES)
    trim = lighter(wall, 0.35 if rng.random() < 0.7 else -0.3)
    x, y = columns[0] * BAY_M / 2, columns[1] * BAY_M / 2
    height = 4.0 + STORY_M * (stories - 1)
    quads = box((-x, x, -y, y), z_m=(0.0, height))
    lit_share = float(rng.uniform(0.15, 0.5)) if lamps_on else 0.0
    awning = pick(rng, AWNINGS) if rng.random() < 0.6 else None
    faces = painted(quads, wall)
    for name in ("front", "back", "left", "right"):
        count = columns[1] if name in {"front", "back"} else columns[0]
        faces += _facade(quads[name], (stories, count), trim, awning, lit_share, rng)
    rim = (-x - 0.25, x + 0.25, -y - 0.25, y + 0.25)
    parts = [Part(faces), Part(painted(box(rim, z_m=(height, height + 0.45)), trim), layer=1)]
    if rng.random() < 0.4 and min(columns) > 2:
        ridge = (2.5 - x, x - 2.5, 2.5 - y, y - 2.5)
        roof = painted(frustum(rim, ridge, z_m=(height + 0.45, height + 3.0)), pick(rng, ROOFS))
        parts.append(Part(roof, layer=2))
    return assemble(parts)


def _facade(
    wall: Points,
    grid: tuple[int, int],
    trim: Rgb,
    awning: Rgb | None,
    lit_share: float,
    rng: np.random.Generator,
) -> list[Face]:
    """A wall's decals; grid is its number of stories and of windows per story."""
    stories, columns = grid
    height = float(wall[2, 2] - wall[0, 2])
    faces = [Face(panel(wall, up=(3.5 / height, 3.75 / height)), trim)]
    at = np.arange(columns)
    shop = _cuts(
        0.05 + 0.9 * (at + 0.08) / columns, 0.9 * 0.84 / columns, 0.3 / height, 2.75 / height
    )
    for pane, roll in zip(panels(wall, shop), rng.random(columns), strict=True):
        glow = roll < 0.7 and lit_share > 0
        faces.append(Face(pane, pick(rng, LIT_WINDOWS) if glow else SHOP, 0.85 if glow else 0.0))
    if awning:
        faces.append(
            Face(panel(wall, across=(0.03, 0.97), up=(2.55 / height, 3.3 / height)), awning)
        )
    for story in range(1, stories):
        z = 4.0 + STORY_M * (story - 1)
        faces += _row(wall, columns, (z / height, STORY_M / height), trim, lit_share, rng)
    return faces


def _row(
    wall: Points,
    columns: int,
    span: tuple[float, float],
    trim: Rgb,
    lit_share: float,
    rng: np.random.Generator,
) -> list[Face]:
    """One story's windows with their sills; span is its low edge and height as wall shares."""
    at, (low, tall) = np.arange(columns), span
    sills = _cuts((at + 0.19) / columns, 0.62 / columns, low + 0.19 * tall, low + 0.24 * tall)
    panes = _cuts((at + 0.24) / columns, 0.52 / columns, low + 0.24 * tall, low + 0.73 * tall)
    faces = [Face(sill, trim) for sill in panels(wall, sills)]
    for pane, (roll, shine) in zip(panels(wall, panes), rng.random((columns, 2)), strict=True):
        if roll < lit_share:
            faces.append(Face(pane, pick(rng, LIT_WINDOWS), 0.55 + 0.4 * float(shine)))
        else:
            faces.append(Face(pane, pick(rng, GLASS)))
    return faces


def _cuts(left: NDArray[np.float64], wide: float, low: float, high: float) -> NDArray[np.float64]:
    """Shares [N, 4] for `panels` from left edges [N] and common measures."""
    full = np.ones_like(left)
    return np.column_stack([left, left + wide, low * full, high * full])
