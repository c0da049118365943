"""The static part of a scene, rendered once: sky, ground, houses, trees and lamps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from tools.demo.streets.camera import Camera
from tools.demo.streets.depth_sort import far_to_near
from tools.demo.streets.figure import Floats, Image, paint, project, stencil
from tools.demo.streets.ground import GroundColors, paint_ground
from tools.demo.streets.houses import Prop
from tools.demo.streets.layout import Layout
from tools.demo.streets.light import LIGHT_SCALE, cast_shadow, shine_lamp
from tools.demo.streets.lighting import Lighting

GRAIN = 2.2


@dataclass(frozen=True)
class Backdrop:
    """The static part of a scene at the working resolution.

    Attributes:
        image: uint8 RGB [H, W, 3], without any shadow on the ground.
        prop_map: uint8 [H, W], 1 + index of the nearest prop at each pixel, 0 for none.
        bases: float64 [P, 4, 2], footprints of the props.
        shadow: uint8 [H / LIGHT_SCALE, W / LIGHT_SCALE], 255 where houses and trees cast shadows on
            the ground.
        beams: uint8 RGB at the same size, light of the street lamps on the ground.
        glow: uint8 RGB at the same size, the lamps themselves, before blurring.
    """

    image: Image
    prop_map: Image
    bases: Floats
    shadow: Image
    beams: Image
    glow: Image


def draw_backdrop(
    *,
    layout: Layout,
    colors: GroundColors,
    props: Sequence[Prop],
    camera: Camera,
    lighting: Lighting,
) -> Backdrop:
    """Render the static part of a scene."""
    image = _sky(camera, lighting)
    paint_ground(image, layout=layout, colors=colors, camera=camera, lighting=lighting)
    _grain(image, camera)
    prop_map = np.zeros(image.shape[:2], np.uint8)
    figures = [project(p.mesh, p.spot, camera=camera, lighting=lighting) for p in props]
    seen = [i for i, figure in enumerate(figures) if figure is not None][:254]
    shown = [(props[i], figure) for i in seen if (figure := figures[i]) is not None]
    bases = np.array([prop.base for prop, _ in shown]).reshape(-1, 4, 2)
    bounds = [figure.bounds for _, figure in shown]
    for i in far_to_near(bases, bounds, eye=camera.position_m[:2]):
        paint(shown[i][1], image)
        stencil(shown[i][1], prop_map, offset_px=(0, 0), value=i + 1)
    shadow = np.zeros((camera.height // LIGHT_SCALE, camera.width // LIGHT_SCALE), np.uint8)
    for prop in props:
        cast_shadow(prop.mesh, prop.spot, shadow, camera=camera, lighting=lighting)
    beams, glow = np.zeros((*shadow.shape, 3), np.uint8), np.zeros((*shadow.shape, 3), np.uint8)
    for i, (prop, _) in enumerate(shown):
        if prop.lamp_m is not None:
            shine_lamp(prop.lamp_m, beams, camera=camera)
            _mark_lamp(prop.lamp_m, glow, prop_map, index=i, camera=camera)
    return Backdrop(image, prop_map, bases, shadow, beams, glow)


def _mark_lamp(
    lamp_m: tuple[float, float, float], glow: Image, prop_map: Image, *, index: int, camera: Camera
) -> None:
    """Draw a bright dot at a street lamp, unless it is hidden."""
    view = camera.view(np.array([lamp_m]))
    if view[0, 2] < 1:
        return
    x, y = camera.pixels(view)[0].astype(int).tolist()
    if 0 <= x < camera.width and 0 <= y < camera.height and prop_map[y, x] == index + 1:
        radius = max(1, round(0.22 * camera.focal_px / view[0, 2] / LIGHT_SCALE))
        spot = (x // LIGHT_SCALE, y // LIGHT_SCALE)
        cv2.circle(glow, spot, radius, (130, 104, 62), cv2.FILLED)


def _sky(camera: Camera, lighting: Lighting) -> Image:
    """A gradient from the horizon up, with the ground's far end fading into it."""
    rows = (np.arange(camera.height) + 0.5 - camera.height / 2) / camera.focal_px
    rise = -(camera.rotation[1, 2] * rows + camera.rotation[2, 2])
    share = np.clip(-rise / 0.45, 0, 1)[:, None] ** 0.8
    column = np.asarray(lighting.horizon) + share * (np.asarray(lighting.zenith) - lighting.horizon)
    pixels = np.rint(column * 255).astype(np.uint8)[:, None]
    return np.asarray(cv2.repeat(pixels, 1, camera.width), np.uint8)


def _grain(image: Image, camera: Camera) -> None:
    """Add a faint noise texture to the ground, coarser near the camera."""
    rng = np.random.default_rng(7)
    tile = cv2.GaussianBlur(rng.normal(0, 1, (512, 512)).astype(np.float32), (0, 0), 0.9)
    tile *= GRAIN / tile.std()
    corners = np.array([[-24, 0, 0], [24, 0, 0], [24, 48, 0], [-24, 48, 0]], np.float64)
    ahead = camera.rotation[2, :2] / np.linalg.norm(camera.rotation[2, :2])
    turn = np.array([[ahead[1], -ahead[0]], [ahead[0], ahead[1]]])
    start = camera.position_m[:2] + ahead * (camera.position_m[2] + 1.0)
    corners[:, :2] = corners[:, :2] @ turn + start
    view = camera.view(corners)
    if view[:, 2].min() < 0.5:
        return
    target = camera.pixels(view).astype(np.float32)
    source = np.array([[0, 0], [511, 0], [511, 511], [0, 511]], np.float32)
    warped = cv2.warpPerspective(
        tile, cv2.getPerspectiveTransform(source, target), (camera.width, camera.height)
    )
    grain = cv2.merge([warped.astype(np.int8)] * 3)
    cv2.add(image, grain, dst=image, dtype=cv2.CV_8U)
