"""Renders one frame: shadows, vehicles from back to front, and the visible part of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from tools.demo.streets.annotations import Sighting
from tools.demo.streets.backdrop import Backdrop
from tools.demo.streets.body import Model
from tools.demo.streets.camera import Camera
from tools.demo.streets.depth_sort import far_to_near
from tools.demo.streets.figure import Figure, Floats, Image, paint, place, project, stencil
from tools.demo.streets.footprint import corners, in_front
from tools.demo.streets.light import LIGHT_SCALE, NEUTRAL, cast_shadow, light_map, shine_beam
from tools.demo.streets.lighting import Lighting

MARGIN_SHARE = 0.6
"""How far around the picture an object's full silhouette is measured, in picture sizes."""


@dataclass(frozen=True)
class Actor:
    """A vehicle at one moment: its id, model and place (x, y, heading in radians)."""

    track_id: int
    model: Model
    spot: Floats


def light_ground(
    image: Image, backdrop: Backdrop, actors: Sequence[Actor], *, camera: Camera, lighting: Lighting
) -> None:
    """Lay the shadows and headlight beams of all actors over the ground, in place."""
    shadow = backdrop.shadow.copy()
    beams = backdrop.beams.copy() if lighting.lamps_on else None
    for actor in actors:
        cast_shadow(actor.model.mesh, actor.spot, shadow, camera=camera, lighting=lighting)
        if beams is not None:
            shine_beam(actor.spot, actor.model.length_m / 2, beams, camera=camera)
    light = light_map(shadow, beams, strength=lighting.shadow)
    light[backdrop.prop_map[::LIGHT_SCALE, ::LIGHT_SCALE] > 0] = NEUTRAL
    horizon = _horizon_row(camera)
    size = (camera.width, camera.height)
    full = cv2.resize(light, size, interpolation=cv2.INTER_LINEAR)
    ground = image[horizon:]
    cv2.multiply(ground, full[horizon:], dst=ground, scale=1 / NEUTRAL)


def _horizon_row(camera: Camera) -> int:
    slope = camera.rotation[2, 2] / camera.rotation[1, 2]
    return int(np.clip(camera.height / 2 - camera.focal_px * slope, 0, camera.height - 1))


def draw_actors(
    image: Image, backdrop: Backdrop, actors: Sequence[Actor], *, camera: Camera, lighting: Lighting
) -> tuple[Image, list[Sighting]]:
    """Draw the vehicles into the picture.

    Returns:
        An id map uint8 [H, W] (1 + index of the actor, 0 for none) and the visible actors.
    """
    figures = [project(a.model.mesh, a.spot, camera=camera, lighting=lighting) for a in actors]
    shown = [(i, f) for i, f in enumerate(figures) if f is not None]
    bases = np.array(
        [
            corners(
                actors[i].spot, length_m=actors[i].model.length_m, width_m=actors[i].model.width_m
            )
            for i, _ in shown
        ]
    ).reshape(-1, 4, 2)
    eye = camera.position_m[:2]
    ids = np.zeros(image.shape[:2], np.uint8)
    hiding = _hiding(backdrop, bases, eye)
    full = np.zeros(len(shown))
    for k in far_to_near(bases, [f.bounds for _, f in shown], eye=eye):
        full[k] = _draw_one(
            shown[k][1], image, ids, value=k + 1, hiding=hiding[k], backdrop=backdrop
        )
    sightings = [
        _sight(actors[i], figure, ids, value=k + 1, full_px=full[k])
        for k, (i, figure) in enumerate(shown)
    ]
    return ids, [s for s in sightings if s is not None]


def _hiding(backdrop: Backdrop, bases: Floats, eye: Floats) -> Image:
    """Lookup tables [N, 256], one per footprint: 0 for the props in front of it, else 255."""
    tables = np.full((len(bases), 256), 255, np.uint8)
    if len(bases) and len(backdrop.bases):
        before = in_front(backdrop.bases[None], bases[:, None], eye=eye)
        tables[:, 1 : 1 + len(backdrop.bases)][before] = 0
    return tables


def _draw_one(
    figure: Figure, image: Image, ids: Image, *, value: int, hiding: Image, backdrop: Backdrop
) -> int:
    """Draw one figure where no prop hides it; returns its full silhouette in pixels."""
    height, width = ids.shape
    x0, y0, x1, y1 = _limited(figure, width, height)
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    stencil(figure, mask, offset_px=(x0, y0), value=255)
    full_px = int(cv2.countNonZero(mask))
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if right <= left or bottom <= top:
        return full_px
    inside = mask[top - y0 : bottom - y0, left - x0 : right - x0]
    window = np.s_[top:bottom, left:right]
    free = cv2.LUT(backdrop.prop_map[window], hiding)
    if free.min() == 255:
        paint(figure, image)
    else:
        inside = np.asarray(cv2.bitwise_and(inside, free), np.uint8)
        patch = image[window].copy()
        paint(figure, patch, offset_px=(left, top))
        cv2.copyTo(patch, inside, image[window])
    ids[window][inside > 0] = value
    return full_px


def _limited(figure: Figure, width: int, height: int) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = figure.bounds
    side, tall = int(MARGIN_SHARE * width), int(MARGIN_SHARE * height)
    return max(x0, -side), max(y0, -tall), min(x1, width + side), min(y1, height + tall)


def _sight(
    actor: Actor, figure: Figure, ids: Image, *, value: int, full_px: float
) -> Sighting | None:
    """Measure the visible part of an actor in the id map."""
    x0, y0, x1, y1 = figure.bounds
    left, top = max(x0, 0), max(y0, 0)
    window = ids[top : max(y1, 0), left : max(x1, 0)]
    seen = cv2.inRange(window, (value,), (value,))
    count = cv2.countNonZero(seen)
    if not count:
        return None
    x, y, width, height = cv2.boundingRect(seen)
    box = (left + x, top + y, left + x + width, top + y + height)
    return Sighting(actor.track_id, actor.model.class_id, box, min(1.0, count / max(full_px, 1)))


def lamp_glow(backdrop: Backdrop, actors: Sequence[Actor], ids: Image, *, camera: Camera) -> Image:
    """Bright dots [h, w, 3] at 1 / `LIGHT_SCALE` for each lamp that faces the camera."""
    glow = backdrop.glow.copy()
    for actor in actors:
        ahead = np.array([np.cos(actor.spot[2]), np.sin(actor.spot[2])])
        facing = float(ahead @ (camera.position_m[:2] - actor.spot[:2]))
        lamps = actor.model.headlamps_m if facing > 0 else actor.model.tail_lamps_m
        color = (150, 138, 104) if facing > 0 else (120, 16, 12)
        size = 0.16 if facing > 0 else 0.1
        view = camera.view(place(np.array(lamps), actor.spot))
        if view[:, 2].min() < 1.0:
            continue
        for (x, y), depth in zip(camera.pixels(view), view[:, 2], strict=True):
            if 0 <= x < camera.width and 0 <= y < camera.height and ids[int(y), int(x)]:
                radius = max(1, round(size * camera.focal_px / depth / LIGHT_SCALE))
                spot = (int(x / LIGHT_SCALE), int(y / LIGHT_SCALE))
                cv2.circle(glow, spot, radius, color, cv2.FILLED)
    return glow
