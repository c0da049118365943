"""Bicycles and motorcycles with their riders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.demo.streets.body import GLASS, HEADLAMP, TAIL_LAMP, TIRE, TRIM, Model, lighter, on_end
from tools.demo.streets.mesh import Face, Part, Rgb, assemble, quad
from tools.demo.streets.palette import FRAME_PAINTS, HELMETS, SHIRTS, SKINS, TROUSERS, pick
from tools.demo.streets.shapes import ball, box, disc, extrude, frustum, hoop, painted, tube

Spot = tuple[float, float, float]


@dataclass(frozen=True)
class Pose:
    """Where a rider's joints are, in meters in the vehicle's axes; y is for the left side."""

    hip_m: Spot
    shoulder_m: Spot
    hand_m: Spot
    knees_m: tuple[Spot, Spot]
    feet_m: tuple[Spot, Spot]
    head_m: Spot


def _other(spot: Spot) -> Spot:
    return (spot[0], -spot[1], spot[2])


def rider(rng: np.random.Generator, pose: Pose, *, bulk: float, full_face: bool) -> list[Part]:
    """Build a rider: legs, torso, arms and a head with helmet or hair."""
    shirt, trousers, skin = pick(rng, SHIRTS), pick(rng, TROUSERS), pick(rng, SKINS)
    parts = []
    for side, (knee, foot) in enumerate(zip(pose.knees_m, pose.feet_m, strict=True)):
        hip = pose.hip_m if side == 0 else _other(pose.hip_m)
        parts.append(Part(tube(hip, knee, radius_m=(0.1 * bulk, 0.075 * bulk), rgb=trousers), 2))
        parts.append(Part(tube(knee, foot, radius_m=(0.075 * bulk, 0.055), rgb=trousers), 2))
        parts.append(Part(_shoe(foot), 2))
    parts.append(Part(_torso(pose, bulk, shirt), 3))
    for side in range(2):
        shoulder = pose.shoulder_m if side == 0 else _other(pose.shoulder_m)
        hand = pose.hand_m if side == 0 else _other(pose.hand_m)
        parts.append(Part(tube(shoulder, hand, radius_m=(0.07 * bulk, 0.045), rgb=shirt), 3))
    x, _, z = pose.head_m
    cap = pick(rng, HELMETS)
    if full_face:
        visor = on_end(x + 0.15, (-0.1, 0.1), (z - 0.06, z + 0.07), rgb=GLASS)
        return [*parts, Part([*ball((x, 0, z), radius_m=0.155, rgb=cap), visor], 4)]
    parts.append(Part(ball((x, 0, z), radius_m=(0.105, 0.09, 0.13), rgb=skin), 4))
    return [*parts, Part(ball((x - 0.02, 0, z + 0.07), radius_m=(0.14, 0.11, 0.09), rgb=cap), 5)]


def _shoe(foot: Spot) -> list[Face]:
    x, y, z = foot
    return painted(box((x - 0.08, x + 0.17, y - 0.05, y + 0.05), z_m=(z - 0.06, z + 0.03)), TRIM)


def _torso(pose: Pose, bulk: float, shirt: Rgb) -> list[Face]:
    (hx, _, hz), (sx, _, sz) = pose.hip_m, pose.shoulder_m
    low = (hx - 0.13 * bulk, hx + 0.12 * bulk, -0.16 * bulk, 0.16 * bulk)
    high = (sx - 0.12 * bulk, sx + 0.11 * bulk, -0.2 * bulk, 0.2 * bulk)
    return painted(frustum(low, high, z_m=(hz - 0.1, sz + 0.07)), shirt)


def bicycle(rng: np.random.Generator, *, lamps_on: bool) -> Model:
    """Build a bicycle, all thin tubes and two spoked hoops, with an upright rider."""
    paint, radius = pick(rng, FRAME_PAINTS), 0.35
    back, front = (-0.53, 0.0, radius), (0.53, 0.0, radius)
    crank, seat, head = (-0.08, 0.0, 0.32), (-0.24, 0.0, 0.92), (0.4, 0.0, 0.86)
    bars = [(crank, seat), (crank, head), (seat, head), (back, crank), (back, seat), (head, front)]
    frame = [face for a, b in bars for face in tube(a, b, radius_m=(0.027, 0.027), rgb=paint)]
    grip = (0.36, 0.27, 1.08)
    steer = [
        *tube(head, (0.4, 0, 1.06), radius_m=(0.022, 0.022), rgb=TRIM),
        *tube(grip, _other(grip), radius_m=(0.022, 0.022), rgb=TRIM),
    ]
    saddle = painted(box((-0.4, -0.12, -0.08, 0.08), z_m=(0.93, 1.0)), TRIM)
    lean = float(rng.uniform(0.08, 0.34))
    pose = _pedaling(float(rng.uniform(0, 2 * np.pi)), lean)
    lamp = on_end(0.5, (-0.05, 0.05), (0.92, 1.02), rgb=HEADLAMP, emission=1.0 if lamps_on else 0.3)
    parts = [
        Part(_spoked(back, radius), 1),
        Part(_spoked(front, radius), 1),
        Part(frame, 1),
        Part([*steer, lamp], 2),
        Part(saddle, 2),
        *rider(rng, pose, bulk=0.9, full_face=False),
    ]
    return Model(1, assemble(parts), 1.78, 0.62, 1.82, ((0.52, 0.0, 0.97),), ((-0.62, 0.0, 0.72),))


def _spoked(hub: Spot, radius_m: float) -> list[Face]:
    faces = hoop(hub, radius_m=radius_m, rim_m=0.05, rgb=TIRE)
    for angle in np.arange(4) * np.pi / 4 + 0.2:
        reach = (radius_m - 0.04) * np.array([np.cos(angle), 0, np.sin(angle)])
        across = 0.007 * np.array([-np.sin(angle), 0, np.cos(angle)])
        a, b = np.add(hub, reach), np.subtract(hub, reach)
        corners = quad(a - across, b - across, b + across, a + across)
        faces.append(Face(corners, (0.55, 0.56, 0.58), two_sided=True))
    return faces


def _pedaling(angle_rad: float, lean_m: float) -> Pose:
    feet: list[Spot] = []
    knees: list[Spot] = []
    for side, turn in ((1, 0.0), (-1, np.pi)):
        x = -0.06 + 0.17 * float(np.cos(angle_rad + turn))
        z = 0.34 + 0.17 * float(np.sin(angle_rad + turn))
        feet.append((x, 0.12 * side, z))
        knees.append((0.16 + 0.3 * (x + 0.06), 0.13 * side, 0.72 + 0.45 * (z - 0.34)))
    return Pose(
        hip_m=(-0.26, 0.1, 1.02),
        shoulder_m=(-0.16 + lean_m, 0.19, 1.46),
        hand_m=(0.36, 0.26, 1.1),
        knees_m=(knees[0], knees[1]),
        feet_m=(feet[0], feet[1]),
        head_m=(-0.1 + 1.15 * lean_m, 0.0, 1.7),
    )


def motorcycle(rng: np.random.Generator, *, lamps_on: bool) -> Model:
    """Build a motorcycle: thick wheels, engine block, tank, low bars, helmeted rider."""
    paint, radius = pick(rng, FRAME_PAINTS), 0.33
    scooter = bool(rng.random() < 0.25)
    front_x, back_x = 0.74, -0.7
    shine = 1.0 if lamps_on else 0.5
    tank = [(-0.15, 0.68), (0.45, 0.66), (0.5, 0.86), (0.3, 0.99), (-0.05, 0.92)]
    seat = [(-0.95, 0.78), (-0.1, 0.66), (-0.08, 0.86), (-0.5, 0.86), (-1.0, 0.95)]
    fork = tube((front_x, 0, radius), (0.45, 0, 1.0), radius_m=(0.07, 0.07), rgb=(0.6, 0.62, 0.65))
    fairing = painted(
        frustum((0.35, 0.72, -0.22, 0.22), (0.3, 0.5, -0.16, 0.16), z_m=(0.62, 1.12)), paint
    )
    lamp = on_end(0.73, (-0.11, 0.11), (0.76, 0.94), rgb=HEADLAMP, emission=shine)
    tail = on_end(-1.01, (-0.09, 0.09), (0.82, 0.93), rgb=TAIL_LAMP, emission=0.6)
    bars = tube((0.34, 0.38, 1.06), (0.34, -0.38, 1.06), radius_m=(0.03, 0.03), rgb=TRIM)
    parts = [
        *_thick_wheels((back_x, front_x), radius),
        Part(fork, 1),
        Part(painted(box((-0.4, 0.4, -0.2, 0.2), z_m=(0.2, 0.66)), paint if scooter else TRIM), 1),
        Part(
            tube(
                (-0.95, -0.2, 0.42), (0.1, -0.22, 0.3), radius_m=(0.07, 0.05), rgb=(0.7, 0.7, 0.72)
            ),
            1,
        ),
        Part([*extrude(seat, half_width_m=0.15, rgb=TRIM), tail], 2),
        Part(extrude(tank, half_width_m=0.19, rgb=lighter(paint, 0.05)), 2),
        Part([*fairing, lamp], 3),
        Part(bars, 3),
        *rider(rng, _crouched(float(rng.uniform(0.0, 0.16))), bulk=1.12, full_face=True),
    ]
    return Model(3, assemble(parts), 2.15, 0.8, 1.66, ((0.75, 0.0, 0.85),), ((-1.02, 0.0, 0.88),))


def _thick_wheels(x_m: tuple[float, float], radius_m: float) -> list[Part]:
    parts = []
    for x in x_m:
        tread = [
            (x + radius_m * float(np.cos(a)), radius_m + radius_m * float(np.sin(a)))
            for a in np.linspace(0, 2 * np.pi, 12, endpoint=False)
        ]
        faces = extrude(tread, half_width_m=0.085, rgb=TIRE)
        for side in (-1, 1):
            hub = (x, 0.095 * side, radius_m)
            faces.append(disc(hub, radius_m=0.6 * radius_m, rgb=(0.5, 0.5, 0.53)))
        parts.append(Part(faces, 0))
    return parts


def _crouched(lean_m: float) -> Pose:
    return Pose(
        hip_m=(-0.32, 0.13, 0.88),
        shoulder_m=(-0.1 + lean_m, 0.21, 1.34),
        hand_m=(0.33, 0.33, 1.08),
        knees_m=((0.14, 0.25, 0.74), (0.14, -0.25, 0.74)),
        feet_m=((-0.12, 0.24, 0.34), (-0.12, -0.24, 0.34)),
        head_m=(0.02 + 1.2 * lean_m, 0.0, 1.56),
    )
