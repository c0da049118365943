"""Buses: one long box with a window band, a line sign and two colors."""

from __future__ import annotations

import numpy as np

from tools.demo.streets.body import (
    GLASS,
    PLATE,
    TRIM,
    Model,
    chassis,
    lamp_pair,
    lamp_spots,
    lighter,
    on_end,
    wheels,
    windows,
)
from tools.demo.streets.mesh import Face, Part, Points, Rgb, assemble, panel
from tools.demo.streets.palette import BUS_LIVERIES
from tools.demo.streets.shapes import box, frustum, painted


def bus(rng: np.random.Generator, *, lamps_on: bool) -> Model:
    """Build a city bus or coach: one long box with a window band and a two-color livery."""
    length, width = float(rng.uniform(10.2, 12.4)), 2.52
    height = float(rng.uniform(3.0, 3.3))
    upper, lower = BUS_LIVERIES[rng.integers(len(BUS_LIVERIES))]
    half, side = length / 2, width / 2
    rect = (-half, half, -side, side)
    shell = frustum(rect, (-half + 0.05, half - 0.12, 0.05 - side, side - 0.05), z_m=(0.32, height))
    shine = 1.0 if lamps_on else 0.35
    glass: Rgb = (0.72, 0.66, 0.48) if lamps_on else GLASS
    parts = [
        chassis(length, width, top_m=0.5),
        Part(_bus_shell(shell, half, (upper, lower), shine=shine, glass=glass), layer=1),
        *wheels((half - 2.7, -half + 3.2), half_width_m=side, radius_m=0.48),
        Part(
            painted(
                box((-half + 1.5, -half + 4.2, -0.8, 0.8), z_m=(height, height + 0.24)),
                lighter(upper, -0.12),
            ),
            layer=3,
        ),
        *_bus_mirrors(half, side, height),
    ]
    return Model(
        5,
        assemble(parts),
        length,
        width,
        height + 0.24,
        lamp_spots(half, side - 0.3, 0.75),
        lamp_spots(-half, side - 0.25, 0.95),
    )


def _bus_shell(
    shell: dict[str, Points],
    half_m: float,
    livery: tuple[Rgb, Rgb],
    *,
    shine: float,
    glass: Rgb,
) -> list[Face]:
    upper, lower = livery
    lit = 0.75 if glass is not GLASS else 0.0
    faces = painted(shell, upper)
    for name in ("left", "right", "front", "back"):
        faces.append(Face(panel(shell[name], up=(0.0, 0.3)), lower))
    panes = max(5, round(half_m))
    for name in ("left", "right"):
        band = panel(shell[name], across=(0.03, 0.97), up=(0.38, 0.84))
        faces.append(Face(band, TRIM))
        row = windows(band, panes, up=(0.06, 0.94), post=0.045)
        faces += [Face(pane.points, glass, lit) for pane in row]
    for left, right in ((0.05, 0.135), (0.46, 0.56)):
        door = panel(shell["right"], across=(1 - right, 1 - left), up=(0.03, 0.8))
        faces += [Face(door, TRIM), *windows(door, 2, up=(0.05, 0.95), post=0.06)]
    faces += _bus_ends(shell, half_m, shine=shine)
    return faces


def _bus_ends(
    shell: dict[str, Points],
    half_m: float,
    *,
    shine: float,
) -> list[Face]:
    front, back = shell["front"], shell["back"]
    sign = panel(front, across=(0.12, 0.88), up=(0.87, 0.97))
    return [
        Face(panel(front, across=(0.04, 0.96), up=(0.34, 0.86)), lighter(GLASS, 0.1)),
        Face(sign, TRIM),
        Face(panel(sign, across=(0.2, 0.8), up=(0.25, 0.75)), (1.0, 0.72, 0.2), 0.9),
        Face(panel(back, across=(0.14, 0.86), up=(0.55, 0.84)), GLASS),
        Face(panel(back, across=(0.12, 0.88), up=(0.06, 0.27)), TRIM),
        on_end(half_m + 0.01, (-0.3, 0.3), (0.42, 0.54), rgb=PLATE),
        *lamp_pair(half_m + 0.01, half_width_m=1.15, z_m=0.75, size_m=(0.42, 0.22), shine=shine),
        *lamp_pair(-half_m - 0.01, half_width_m=1.2, z_m=1.15, size_m=(0.2, 0.5), shine=0.5),
    ]


def _bus_mirrors(half_m: float, side_m: float, height_m: float) -> list[Part]:
    z = (height_m - 1.15, height_m - 0.65)
    return [
        Part(painted(box((half_m, half_m + 0.2, y - 0.09, y + 0.09), z_m=z), TRIM), layer=2)
        for y in (-side_m - 0.1, side_m + 0.1)
    ]
