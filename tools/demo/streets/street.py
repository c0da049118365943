"""A complete scene of backdrop, traffic, camera and light, which can be rendered at any time."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tools.demo.streets.annotations import Annotations, Sighting, annotate
from tools.demo.streets.backdrop import draw_backdrop
from tools.demo.streets.camera import Camera, look
from tools.demo.streets.compose import Actor, draw_actors, lamp_glow, light_ground
from tools.demo.streets.figure import Image
from tools.demo.streets.ground import GroundColors
from tools.demo.streets.layout import Layout
from tools.demo.streets.light import add_glow
from tools.demo.streets.lighting import Lighting
from tools.demo.streets.planting import furnish
from tools.demo.streets.traffic import Demand, plan

OVERSAMPLING = 2
"""Factor by which the working picture is larger than the result, for antialiasing."""


@dataclass(frozen=True)
class Design:
    """The parameters of a street's appearance and traffic.

    Attributes:
        layout: the roads.
        lighting: light and weather.
        colors: ground colors.
        camera_m: camera position in meters.
        target_m: point in the middle of the picture, in meters.
        zoom: focal length over the root of the picture's area.
        stories: lowest and highest number of stories of the houses.
        trees: probability of a tree at a planting spot, 0..1.
        demand: amount of traffic.
        scenery_seed: seed of houses and trees.
        traffic_seed: seed of vehicles and their paths.
    """

    layout: Layout
    lighting: Lighting
    colors: GroundColors
    camera_m: tuple[float, float, float]
    target_m: tuple[float, float, float]
    zoom: float
    stories: tuple[int, int]
    trees: float
    demand: Demand
    scenery_seed: int
    traffic_seed: int


class Street:
    """A scene that can be rendered at any time of its plan."""

    def __init__(self, design: Design, *, width: int = 1280, height: int = 720) -> None:
        """Draw the backdrop and plan the traffic.

        Args:
            design: what the street looks like.
            width: picture width in pixels.
            height: picture height in pixels.
        """
        self.design = design
        self.width = width
        self.height = height
        self.camera = _camera(design, width * OVERSAMPLING, height * OVERSAMPLING)
        props = furnish(
            design.layout,
            self.camera,
            seed=design.scenery_seed,
            stories=design.stories,
            trees=design.trees,
            lamps_on=design.lighting.lamps_on,
        )
        self.backdrop = draw_backdrop(
            layout=design.layout,
            colors=design.colors,
            props=props,
            camera=self.camera,
            lighting=design.lighting,
        )
        self.trips = plan(
            design.layout,
            design.demand,
            seed=design.traffic_seed,
            lamps_on=design.lighting.lamps_on,
        )

    def actors(self, time_s: float) -> list[Actor]:
        """List the vehicles on the streets at a time, in or out of the picture."""
        moment = np.array([time_s])
        placed = [(i, trip, trip.places(moment)[0]) for i, trip in enumerate(self.trips, 1)]
        return [Actor(i, t.model, spot) for i, t, spot in placed if not np.isnan(spot[0])]

    def render(self, time_s: float) -> tuple[Image, Annotations]:
        """Draw one frame.

        Args:
            time_s: seconds from the start, up to the plan's duration.

        Returns:
            The picture, uint8 RGB [height, width, 3], and its truth.
        """
        camera, lighting = self.camera, self.design.lighting
        actors = self.actors(time_s)
        image = self.backdrop.image.copy()
        light_ground(image, self.backdrop, actors, camera=camera, lighting=lighting)
        ids, sightings = draw_actors(image, self.backdrop, actors, camera=camera, lighting=lighting)
        size = (self.width, self.height)
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        if lighting.lamps_on:
            add_glow(small, lamp_glow(self.backdrop, actors, ids, camera=camera))
        noisy = _sensor(
            small, lighting.noise, seed=(self.design.traffic_seed, round(time_s * 1000))
        )
        truth = annotate([_downscaled(s) for s in sightings], width=self.width, height=self.height)
        return noisy, truth


def _camera(design: Design, width: int, height: int) -> Camera:
    focal = design.zoom * float(np.sqrt(width * height))
    return look(
        design.camera_m, target_m=design.target_m, focal_px=focal, width=width, height=height
    )


def _downscaled(sighting: Sighting) -> Sighting:
    x1, y1, x2, y2 = (value / OVERSAMPLING for value in sighting.box)
    return Sighting(sighting.track_id, sighting.class_id, (x1, y1, x2, y2), sighting.visibility)


def _sensor(image: Image, sigma: float, *, seed: tuple[int, int]) -> Image:
    """Add noise, from a precomputed field at a random shift to save time."""
    rng = np.random.default_rng(seed)
    height, width = image.shape[:2]
    field = rng.normal(0, sigma, (height // 4 + 1, width, 3)).astype(np.float32)
    rolls = [np.roll(field, int(rng.integers(width)), axis=1) for _ in range(4)]
    noise = np.vstack(rolls)[:height]
    return np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), np.uint8)
