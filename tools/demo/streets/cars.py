"""Passenger cars: sedan, hatchback, sport utility and van."""

from __future__ import annotations

from dataclasses import dataclass

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
from tools.demo.streets.mesh import Face, Part, Rgb, assemble, panel
from tools.demo.streets.palette import CAR_PAINTS
from tools.demo.streets.shapes import extrude, frustum, painted


@dataclass(frozen=True)
class Cut:
    """Proportions of a car type, in meters; cabin edges are x positions along the car."""

    length_m: float
    width_m: float
    height_m: float
    hood_m: float
    belt_m: float
    cabin_low_m: tuple[float, float]
    cabin_high_m: tuple[float, float]
    panes: int
    wheel_m: float = 0.33


CUTS = {
    "sedan": Cut(4.6, 1.82, 1.44, 0.78, 0.92, (-1.75, 1.05), (-1.0, 0.25), 2),
    "hatchback": Cut(4.0, 1.76, 1.5, 0.8, 0.94, (-1.9, 1.0), (-1.6, 0.25), 2),
    "utility": Cut(4.6, 1.9, 1.74, 0.95, 1.08, (-2.15, 1.0), (-1.85, 0.35), 3, 0.38),
    "wagon": Cut(4.7, 1.82, 1.48, 0.8, 0.93, (-2.2, 1.05), (-1.85, 0.3), 3),
    "van": Cut(4.8, 1.94, 1.95, 1.0, 1.12, (-2.3, 1.75), (-2.2, 0.95), 3, 0.35),
}


def car(rng: np.random.Generator, *, lamps_on: bool) -> Model:
    """Build a passenger car of random type, size and paint."""
    cut = CUTS[str(rng.choice(list(CUTS), p=[0.3, 0.22, 0.24, 0.1, 0.14]))]
    red, green, blue = CAR_PAINTS[rng.integers(len(CAR_PAINTS))]
    paint: Rgb = (red, green, blue)
    half, side = cut.length_m / 2, cut.width_m / 2
    axles = (half - 0.86, -half + 0.84)
    parts = [
        chassis(cut.length_m, cut.width_m, top_m=0.4),
        Part(_lower_body(cut, paint, shine=1.0 if lamps_on else 0.35), layer=1),
        *wheels(axles, half_width_m=side, radius_m=cut.wheel_m),
        Part(_cabin(cut, paint, dark_roof=bool(rng.random() < 0.12)), layer=3),
        *_mirrors(cut, paint),
    ]
    return Model(
        class_id=2,
        mesh=assemble(parts),
        length_m=cut.length_m,
        width_m=cut.width_m,
        height_m=cut.height_m,
        headlamps_m=lamp_spots(half, side - 0.28, 0.68),
        tail_lamps_m=lamp_spots(-half, side - 0.2, 0.78),
    )


def _lower_body(cut: Cut, paint: Rgb, *, shine: float) -> list[Face]:
    half, side = cut.length_m / 2, cut.width_m / 2
    nose = cut.cabin_low_m[1]
    profile = [
        (-half + 0.06, 0.24),
        (half - 0.06, 0.24),
        (half, 0.46),
        (half - 0.07, cut.hood_m - 0.06),
        (half - 0.3, cut.hood_m + 0.02),
        (nose, cut.belt_m),
        (-half + 0.12, cut.belt_m),
        (-half, cut.belt_m - 0.2),
    ]
    body = extrude(profile, half_width_m=side, rgb=paint)
    lamp_z = cut.hood_m - 0.14
    return [
        *body,
        on_end(half + 0.01, (-side * 0.5, side * 0.5), (0.5, 0.64), rgb=TRIM),
        on_end(half + 0.01, (-side * 0.86, side * 0.86), (0.27, 0.4), rgb=TRIM),
        on_end(half + 0.02, (-0.25, 0.25), (0.4, 0.5), rgb=PLATE),
        on_end(-half - 0.02, (-0.25, 0.25), (0.5, 0.61), rgb=PLATE),
        on_end(-half - 0.01, (-side * 0.86, side * 0.86), (0.27, 0.4), rgb=TRIM),
        *lamp_pair(
            half + 0.01, half_width_m=side - 0.05, z_m=lamp_z, size_m=(0.4, 0.16), shine=shine
        ),
        *lamp_pair(
            -half - 0.01,
            half_width_m=side - 0.04,
            z_m=lamp_z + 0.04,
            size_m=(0.36, 0.17),
            shine=0.5,
        ),
    ]


def _cabin(cut: Cut, paint: Rgb, *, dark_roof: bool) -> list[Face]:
    side = cut.width_m / 2
    low = (*cut.cabin_low_m, 0.03 - side, side - 0.03)
    high = (*cut.cabin_high_m, 0.2 - side, side - 0.2)
    quads = frustum(low, high, z_m=(cut.belt_m - 0.01, cut.height_m))
    roof = TRIM if dark_roof else lighter(paint, 0.06)
    flanks = [
        pane
        for name in ("left", "right")
        for pane in windows(quads[name], cut.panes, up=(0.1, 0.84), post=0.05)
    ]
    return [
        *painted({name: quads[name] for name in ("front", "back", "left", "right")}, paint),
        Face(quads["top"], roof),
        *flanks,
        Face(panel(quads["front"], across=(0.05, 0.95), up=(0.06, 0.9)), lighter(GLASS, 0.1)),
        Face(panel(quads["back"], across=(0.08, 0.92), up=(0.14, 0.86)), GLASS),
    ]


def _mirrors(cut: Cut, paint: Rgb) -> list[Part]:
    x, z, side = cut.cabin_low_m[1] - 0.35, cut.belt_m, cut.width_m / 2
    return [
        Part(painted(frustum(rect, rect, z_m=(z, z + 0.15)), paint), layer=3)
        for rect in (
            (x - 0.06, x + 0.06, side, side + 0.16),
            (x - 0.06, x + 0.06, -side - 0.16, -side),
        )
    ]
