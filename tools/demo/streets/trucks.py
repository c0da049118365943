"""Trucks: a cab, a gap, and a separate box, flatbed, tipper or tank."""

from __future__ import annotations

import itertools

import numpy as np

from tools.demo.streets.body import (
    GLASS,
    TRIM,
    Model,
    chassis,
    lamp_pair,
    lamp_spots,
    lighter,
    on_end,
    wheels,
)
from tools.demo.streets.mesh import Face, Part, Rgb, assemble, panel
from tools.demo.streets.palette import CARGO_PAINTS, TRUCK_PAINTS, pick
from tools.demo.streets.shapes import box, frustum, painted, tube


def truck(rng: np.random.Generator, *, lamps_on: bool) -> Model:
    """Build a truck: a cab, a gap, and a separate cargo box, flatbed, tipper or tank."""
    length = float(rng.uniform(6.6, 9.4))
    width, cab_m = 2.4, float(rng.uniform(1.75, 2.1))
    height = float(rng.uniform(2.5, 2.8))
    half, side = length / 2, width / 2
    paint, load = pick(rng, TRUCK_PAINTS), pick(rng, CARGO_PAINTS)
    bed = (-half, half - cab_m - 0.32, -side, side)
    body = str(rng.choice(["box", "flatbed", "tipper", "tank"], p=[0.5, 0.18, 0.18, 0.14]))
    top = {"box": height + 0.65, "flatbed": 1.9, "tipper": 2.15, "tank": 2.75}[body]
    axles = (half - 1.15, -half + 1.25, -half + 2.35) if length > 8 else (half - 1.15, -half + 1.5)
    parts = [
        chassis(length, width * 0.8, top_m=0.95),
        Part(_cab(half, cab_m, side, height, paint, shine=1.0 if lamps_on else 0.35), layer=2),
        *wheels(axles, half_width_m=side - 0.06, radius_m=0.5, hub=lighter(paint, 0.3)),
        *_cargo(body, bed, top, load, rng),
        Part(
            [
                on_end(-half - 0.01, (-1.0, 1.0), (0.45, 0.95), rgb=TRIM),
                *lamp_pair(-half - 0.02, half_width_m=1.1, z_m=0.8, size_m=(0.36, 0.18), shine=0.5),
            ],
            layer=2,
        ),
    ]
    return Model(
        7,
        assemble(parts),
        length,
        width,
        max(top, height),
        lamp_spots(half, side - 0.3, 0.78),
        lamp_spots(-half, side - 0.25, 0.8),
    )


def _cab(
    half_m: float, cab_m: float, side_m: float, height_m: float, paint: Rgb, *, shine: float
) -> list[Face]:
    low = (half_m - cab_m, half_m, -side_m, side_m)
    high = (half_m - cab_m + 0.05, half_m - 0.3, 0.1 - side_m, side_m - 0.1)
    quads = frustum(low, high, z_m=(0.45, height_m))
    front = quads["front"]
    flank = {"left": (0.12, 0.7), "right": (0.3, 0.88)}
    return [
        *painted(quads, paint),
        Face(panel(front, across=(0.06, 0.94), up=(0.52, 0.88)), lighter(GLASS, 0.1)),
        Face(panel(front, across=(0.2, 0.8), up=(0.16, 0.42)), TRIM),
        Face(panel(front, across=(0.0, 1.0), up=(0.0, 0.1)), TRIM),
        *(Face(panel(quads[n], across=a, up=(0.54, 0.86)), GLASS) for n, a in flank.items()),
        *lamp_pair(
            half_m + 0.01, half_width_m=side_m - 0.05, z_m=0.78, size_m=(0.38, 0.2), shine=shine
        ),
    ]


def _cargo(
    body: str,
    bed: tuple[float, float, float, float],
    top_m: float,
    load: Rgb,
    rng: np.random.Generator,
) -> list[Part]:
    if body == "box":
        return [_closed_box(bed, top_m, load, rng)]
    x0, x1, y0, y1 = bed
    floor = Part(painted(box(bed, z_m=(0.9, 1.1)), TRIM), layer=1)
    if body == "tank":
        tank = tube((x0 + 0.15, 0, 1.85), (x1 - 0.1, 0, 1.85), radius_m=(0.95, 0.95), rgb=load)
        return [floor, Part(tank, layer=2)]
    if body == "tipper":
        flare = (x0 - 0.1, x1, y0 - 0.03, y1 + 0.03)
        tub = frustum((x0 + 0.2, x1, y0 + 0.15, y1 - 0.15), flare, z_m=(1.0, top_m))
        sand = Face(panel(tub["top"], across=(0.05, 0.95), up=(0.08, 0.92)), (0.62, 0.5, 0.33))
        return [floor, Part([*painted(tub, lighter(load, -0.1)), sand], layer=2)]
    return [floor, *_crates(bed, rng)]


def _closed_box(
    bed: tuple[float, float, float, float], top_m: float, load: Rgb, rng: np.random.Generator
) -> Part:
    quads = box(bed, z_m=(0.9, top_m))
    faces = painted(quads, load)
    stripe = pick(rng, TRUCK_PAINTS)
    faces += [Face(panel(quads[n], up=(0.1, 0.24)), stripe) for n in ("left", "right")]
    faces += [
        Face(panel(quads["back"], across=a, up=(0.04, 0.94)), lighter(load, -0.12))
        for a in ((0.04, 0.49), (0.51, 0.96))
    ]
    return Part(faces, layer=2)


def _crates(bed: tuple[float, float, float, float], rng: np.random.Generator) -> list[Part]:
    x0, x1, y0, y1 = bed
    crate_x = np.linspace(x0 + 0.2, x1 - 0.1, 4)
    return [
        Part(
            painted(
                box(
                    (a + 0.06, b - 0.06, y0 + 0.2, y1 - 0.2),
                    z_m=(1.1, 1.1 + float(rng.uniform(0.3, 0.9))),
                ),
                pick(rng, CARGO_PAINTS),
            ),
            layer=2,
        )
        for a, b in itertools.pairwise(crate_x)
    ]
