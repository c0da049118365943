"""The five classes of vehicles: their models and driving parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from tools.demo.streets.body import Model
from tools.demo.streets.buses import bus
from tools.demo.streets.cars import car
from tools.demo.streets.cycles import bicycle, motorcycle
from tools.demo.streets.trucks import truck

BICYCLE, CAR, MOTORCYCLE, BUS, TRUCK = 1, 2, 3, 5, 7

CLASS_NAMES = {BICYCLE: "bicycle", CAR: "car", MOTORCYCLE: "motorcycle", BUS: "bus", TRUCK: "truck"}
"""COCO class ids and names, in the order of the ids."""


@dataclass(frozen=True)
class Kind:
    """The appearance and driving parameters of a class of vehicles.

    Attributes:
        build: makes a random model of the class.
        speed_mps: slowest and fastest cruising speed in meters per second.
        turn_mps2: sideways acceleration that drivers accept in a turn.
    """

    build: Callable[..., Model]
    speed_mps: tuple[float, float]
    turn_mps2: float


KINDS = {
    BICYCLE: Kind(bicycle, (3.8, 5.8), 1.8),
    CAR: Kind(car, (7.0, 10.5), 2.4),
    MOTORCYCLE: Kind(motorcycle, (7.5, 11.0), 2.8),
    BUS: Kind(bus, (6.0, 8.5), 1.6),
    TRUCK: Kind(truck, (6.0, 8.5), 1.6),
}

VARIANTS = 150
"""Number of models per class. They are built once per process and shared by all streets."""


@cache
def model(class_id: int, variant: int, *, lamps_on: bool) -> Model:
    """Give one of a class's `VARIANTS` models, with its lamps on or off."""
    rng = np.random.default_rng([class_id, variant])
    return KINDS[class_id].build(rng, lamps_on=lamps_on)
