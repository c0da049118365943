"""Common parts of all motor vehicles: the model class, wheels, lamps, glass and plates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tools.demo.streets.mesh import Face, Mesh, Part, Points, Rgb, panel
from tools.demo.streets.shapes import box, disc, painted

GLASS: Rgb = (0.16, 0.22, 0.28)
TIRE: Rgb = (0.085, 0.085, 0.095)
RIM: Rgb = (0.62, 0.64, 0.67)
HEADLAMP: Rgb = (1.0, 0.97, 0.86)
TAIL_LAMP: Rgb = (0.82, 0.08, 0.07)
TRIM: Rgb = (0.12, 0.12, 0.14)
PLATE: Rgb = (0.93, 0.93, 0.88)

PROUD_M = 0.012
"""Distance of decals from the surface below them."""


@dataclass(frozen=True)
class Model:
    """A vehicle ready to be placed on the street.

    Attributes:
        class_id: COCO class id.
        mesh: geometry, x forward, origin on the ground below the middle.
        length_m: footprint length.
        width_m: footprint width.
        height_m: top of the model (of the rider, on two wheels).
        headlamps_m: (x, y, z) of the front lamps.
        tail_lamps_m: (x, y, z) of the rear lamps.
    """

    class_id: int
    mesh: Mesh
    length_m: float
    width_m: float
    height_m: float
    headlamps_m: tuple[tuple[float, float, float], ...]
    tail_lamps_m: tuple[tuple[float, float, float], ...]


def lamp_spots(
    x_m: float, half_width_m: float, z_m: float
) -> tuple[tuple[float, float, float], ...]:
    """Place a pair of lamps across the vehicle."""
    return ((x_m, -half_width_m, z_m), (x_m, half_width_m, z_m))


def wheels(
    x_m: Sequence[float], *, half_width_m: float, radius_m: float, hub: Rgb = RIM
) -> list[Part]:
    """Wheels as decals on both flanks: dark arch, tire, rim and hub."""
    faces = []
    for x in x_m:
        for side in (-1.0, 1.0):
            for share, rgb, step in ((1.16, TRIM, 1), (1.0, TIRE, 2), (0.62, hub, 3)):
                y = side * (half_width_m + step * PROUD_M)
                faces.append(disc((x, y, radius_m), radius_m=share * radius_m, rgb=rgb))
            y = side * (half_width_m + 4 * PROUD_M)
            faces.append(disc((x, y, radius_m), radius_m=0.2 * radius_m, rgb=TRIM, sides=6))
    return [Part(faces, layer=2)]


def chassis(length_m: float, width_m: float, *, top_m: float) -> Part:
    """The dark underside with the tires' front views, seen below the bumpers."""
    half, side = length_m / 2, width_m / 2
    rect = (-0.94 * half, 0.94 * half, -0.94 * side, 0.94 * side)
    return Part(painted(box(rect, z_m=(0.04, top_m)), TRIM), layer=0)


def on_end(
    x_m: float, y_m: tuple[float, float], z_m: tuple[float, float], *, rgb: Rgb, emission: float = 0
) -> Face:
    """Put an upright rectangle on the front (x > 0) or on the back of a body."""
    quads = box((min(x_m, 0), max(x_m, 0), *y_m), z_m=z_m)
    return Face(quads["front" if x_m > 0 else "back"], rgb, emission)


def lamp_pair(
    x_m: float, *, half_width_m: float, z_m: float, size_m: tuple[float, float], shine: float
) -> list[Face]:
    """Two head lamps (x > 0) or tail lamps as rectangles at the corners."""
    rgb = HEADLAMP if x_m > 0 else TAIL_LAMP
    width, height = size_m
    z = (z_m - height / 2, z_m + height / 2)
    pairs = ((half_width_m - width, half_width_m), (-half_width_m, width - half_width_m))
    return [on_end(x_m, pair, z, rgb=rgb, emission=shine) for pair in pairs]


def windows(
    base: Points, count: int, *, up: tuple[float, float], post: float = 0.04, rgb: Rgb = GLASS
) -> list[Face]:
    """Split a wall into a row of window panes with posts between them."""
    return [
        Face(panel(base, across=((i + post) / count, (i + 1 - post) / count), up=up), rgb)
        for i in range(count)
    ]


def lighter(rgb: Rgb, by: float) -> Rgb:
    """Mix a color with white (by > 0) or with black (by < 0)."""
    target = 1.0 if by > 0 else 0.0
    share = abs(by)
    return (
        rgb[0] + share * (target - rgb[0]),
        rgb[1] + share * (target - rgb[1]),
        rgb[2] + share * (target - rgb[2]),
    )
