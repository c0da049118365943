"""Light on the ground: soft shadows, pools of headlight, and the glow of lamps."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.demo.streets.camera import NEAR_M, Camera
from tools.demo.streets.figure import SUBPIXEL_BITS, Floats, Image, fixed, in_sight, place
from tools.demo.streets.lighting import Lighting
from tools.demo.streets.mesh import Mesh

LIGHT_SCALE = 4
"""Light maps are smaller than the working picture by this factor, because they are blurred."""

NEUTRAL = 128
"""The value of the light map that does not change a color."""

MIN_ELEVATION_RAD = 0.3


def cast_shadow(
    mesh: Mesh, spot: Floats, shadow: Image, *, camera: Camera, lighting: Lighting
) -> None:
    """Write the shadow of a mesh on the ground, with value 255, part by part.

    Args:
        mesh: the object.
        spot: its place (x, y, heading in radians).
        shadow: uint8 map at 1 / `LIGHT_SCALE` of the camera's picture.
        camera: the camera.
        lighting: gives the direction of the sun.
    """
    world = place(mesh.points, spot)
    height = max(lighting.elevation_rad, MIN_ELEVATION_RAD)
    away = -np.array([np.cos(lighting.azimuth_rad), np.sin(lighting.azimuth_rad)]) / np.tan(height)
    world[:, :2] += world[:, 2:] * away
    world[:, 2] = 0
    view = camera.view(world)
    if not in_sight(view, camera):
        return
    starts = mesh.starts[np.flatnonzero(np.diff(mesh.part, prepend=-1))].tolist()
    behind = view[:, 2].min() <= NEAR_M
    flat = np.empty((0, 2), np.int32) if behind else fixed(camera.pixels(view) / LIGHT_SCALE)
    for start, end in zip(starts, [*starts[1:], len(world)], strict=True):
        points = _outline(world[start:end], camera) if behind else flat[start:end]
        if len(points) >= 3:
            hull = cv2.convexHull(points)
            cv2.fillConvexPoly(shadow, hull, 255, cv2.LINE_8, SUBPIXEL_BITS)


def _outline(flat: Floats, camera: Camera) -> NDArray[np.int32]:
    """Hull of ground points [N, 3], cut at the near plane, in the shadow map's fixed point."""
    hull = cv2.convexHull(flat[:, :2].astype(np.float32))[:, 0]
    corners = camera.polygon(np.column_stack([hull, np.zeros(len(hull))]))
    return fixed(corners / LIGHT_SCALE)


def light_map(shadow: Image, beams: Image | None, *, strength: float) -> Image:
    """Turn a shadow map and colored beams [h, w, 3] into soft factors around `NEUTRAL`."""
    soft = cv2.GaussianBlur(shadow, (0, 0), 1.2)
    factor = cv2.convertScaleAbs(soft, alpha=-strength * NEUTRAL / 255, beta=NEUTRAL)
    light = cv2.merge([factor] * 3)
    if beams is not None:
        light = cv2.add(light, cv2.GaussianBlur(beams, (0, 0), 5.0))
    return np.asarray(light, np.uint8)


def shine_lamp(lamp_m: tuple[float, float, float], beams: Image, *, camera: Camera) -> None:
    """Light a round patch of the ground below a street lamp."""
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    ring = np.column_stack([np.cos(angles), np.sin(angles), np.zeros(16)])
    for radius, level in ((5.2, 22.0), (3.4, 26.0)):
        patch = radius * ring + [lamp_m[0], lamp_m[1], 0.0]
        _add_patch(patch, beams, level, camera=camera)


def _add_patch(world: Floats, beams: Image, level: float, *, camera: Camera) -> None:
    polygon = camera.polygon(world) / LIGHT_SCALE
    if len(polygon) < 3:
        return
    layer = np.zeros_like(beams)
    color = (level, level * 0.9, level * 0.66)
    cv2.fillConvexPoly(layer, fixed(polygon), color, cv2.LINE_8, SUBPIXEL_BITS)
    cv2.add(beams, layer, dst=beams)


def shine_beam(spot: Floats, nose_m: float, beams: Image, *, camera: Camera) -> None:
    """Light the ground in front of a vehicle with two nested cones."""
    for reach, spread, level in ((11.0, 2.6, 26.0), (7.0, 1.7, 34.0)):
        cone = np.array(
            [
                [nose_m, 0.6, 0.0],
                [nose_m + reach, spread, 0.0],
                [nose_m + reach * 1.08, 0.0, 0.0],
                [nose_m + reach, -spread, 0.0],
                [nose_m, -0.6, 0.0],
            ]
        )
        _add_patch(place(cone, spot), beams, level, camera=camera)


def add_glow(image: Image, glow: Image) -> None:
    """Enlarge a small light layer smoothly, and add it to a picture in place."""
    halo = cv2.add(cv2.GaussianBlur(glow, (0, 0), 1.6), cv2.GaussianBlur(glow, (0, 0), 5.0))
    height, width = image.shape[:2]
    cv2.add(image, cv2.resize(halo, (width, height), interpolation=cv2.INTER_LINEAR), dst=image)
