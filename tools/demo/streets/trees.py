"""Trees and street lamps on the sidewalks."""

from __future__ import annotations

from functools import cache

import numpy as np

from tools.demo.streets.body import lighter
from tools.demo.streets.houses import Prop, base_of
from tools.demo.streets.mesh import Face, Mesh, Part, Rgb, assemble
from tools.demo.streets.palette import LEAVES, TRUNK, pick
from tools.demo.streets.shapes import ball, box, painted, tube

ARM_M = 1.7
POST: Rgb = (0.25, 0.27, 0.3)
LAMP: Rgb = (1.0, 0.88, 0.6)


TREES = 40
"""Number of different trees, which are built once per process."""


def tree(x_m: float, y_m: float, rng: np.random.Generator) -> Prop:
    """Plant one of the `TREES` low-poly trees, turned at random."""
    mesh, height = _tree(int(rng.integers(TREES)))
    base = base_of((x_m - 0.3, x_m + 0.3, y_m - 0.3, y_m + 0.3))
    return Prop(mesh, base, height, np.array([x_m, y_m, rng.uniform(0, 2 * np.pi)]))


@cache
def _tree(variant: int) -> tuple[Mesh, float]:
    """A trunk below three faceted crowns, each turned so that no two show the same facets."""
    rng = np.random.default_rng([9, variant])
    height, spread = float(rng.uniform(4.6, 7.5)), float(rng.uniform(1.2, 1.9))
    leaf = pick(rng, LEAVES)
    trunk = tube((0, 0, 0), (0, 0, height * 0.6), radius_m=(0.17, 0.12), rgb=TRUNK)
    parts = [Part(trunk, layer=0)]
    for i, (share, size) in enumerate(((0.55, 1.0), (0.74, 0.82), (0.9, 0.55))):
        shift = rng.uniform(-0.25, 0.25, 2) * spread
        center = (float(shift[0]), float(shift[1]), share * height)
        radii = np.array([1.0, 1.0, 0.85]) * size * spread
        tint = lighter(leaf, float(rng.uniform(-0.05, 0.1)) + 0.05 * i)
        crown = ball(center, radius_m=radii, rgb=tint, sides=8)
        parts.append(Part(_turned(crown, float(rng.uniform(0, 6)), center), layer=1 + i))
    return assemble(parts), height


def _turned(faces: list[Face], angle_rad: float, center: tuple[float, float, float]) -> list[Face]:
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    return [Face((face.points - center) @ turn + center, face.rgb) for face in faces]


def street_lamp(x_m: float, y_m: float, *, heading_rad: float, lamps_on: bool) -> Prop:
    """Put up a lamp post whose arm reaches over the road in the direction of `heading_rad`."""
    base = base_of((x_m - 0.1, x_m + 0.1, y_m - 0.1, y_m + 0.1))
    lamp = (x_m + ARM_M * np.cos(heading_rad), y_m + ARM_M * np.sin(heading_rad), 6.4)
    spot = np.array([x_m, y_m, heading_rad])
    return Prop(_lamp(lamps_on=lamps_on), base, 6.7, spot, lamp if lamps_on else None)


@cache
def _lamp(*, lamps_on: bool) -> Mesh:
    tip = ARM_M
    post = tube((0, 0, 0), (0, 0, 6.5), radius_m=(0.09, 0.06), rgb=POST)
    arm = tube((0, 0, 6.4), (tip, 0, 6.6), radius_m=(0.05, 0.05), rgb=POST)
    rect = (tip - 0.4, tip + 0.4, -0.2, 0.2)
    head = painted(box(rect, z_m=(6.5, 6.72)), POST)
    shine = [Face(p, LAMP, 1.0 if lamps_on else 0.0) for p in box(rect, z_m=(6.38, 6.5)).values()]
    return assemble([Part(post), Part(arm, 1), Part(shine, 1), Part(head, 2)])
