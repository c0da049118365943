"""Plans the vehicles' trips so that they never collide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.demo.streets.body import Model
from tools.demo.streets.footprint import corners, overlap
from tools.demo.streets.layout import Layout
from tools.demo.streets.paths import Path, path, routes
from tools.demo.streets.vehicles import (
    BICYCLE,
    BUS,
    CAR,
    KINDS,
    MOTORCYCLE,
    TRUCK,
    VARIANTS,
    model,
)

Floats = NDArray[np.float64]

CHECK_STEP_S = 0.1
GAP_M = 1.6
SIDE_GAP_M = 0.3
BRAKE_MPS2 = 1.6

CLASS_SHARES = {BICYCLE: 0.22, CAR: 0.3, MOTORCYCLE: 0.18, BUS: 0.14, TRUCK: 0.16}


@dataclass(frozen=True)
class Trip:
    """The trip of one vehicle through the streets.

    Attributes:
        model: the vehicle.
        path: the path that it drives.
        clock_s: float64 [N], times in seconds at which it passes the points of the path.
    """

    model: Model
    path: Path
    clock_s: Floats

    def places(self, times_s: Floats) -> Floats:
        """Positions and headings [N, 3] at times [N]; NaN before it enters and after it leaves."""
        along = np.interp(times_s, self.clock_s, self.path.along_m, left=np.nan, right=np.nan)
        return self.path.place(along)


@dataclass(frozen=True)
class Demand:
    """The amount of traffic of a street.

    Attributes:
        tries: number of candidate vehicles; those without room are dropped.
        duration_s: end of the plan, which begins at 0; 0 plans a single moment.
        shares: part of the candidates by class id.
    """

    tries: int
    duration_s: float
    shares: dict[int, float]


def plan(layout: Layout, demand: Demand, *, seed: int, lamps_on: bool) -> list[Trip]:
    """Plan the trips: a candidate is added only if it stays clear of all earlier ones."""
    rng = np.random.default_rng([seed, 2])
    ways = routes(layout)
    times = np.arange(0, demand.duration_s + CHECK_STEP_S, CHECK_STEP_S)
    if demand.duration_s == 0:
        times = times[:1]
    trips: list[Trip] = []
    taken: list[Floats] = []
    for _ in range(demand.tries):
        trip = _candidate(rng, layout, ways, demand, lamps_on=lamps_on)
        room = _room(trip, times)
        if not _blocked(room, taken):
            trips.append(trip)
            taken.append(room)
    return trips


def _candidate(
    rng: np.random.Generator,
    layout: Layout,
    ways: list[tuple[str, str]],
    demand: Demand,
    *,
    lamps_on: bool,
) -> Trip:
    class_id = int(rng.choice(list(demand.shares), p=list(demand.shares.values())))
    kind = KINDS[class_id]
    lane = -1 if class_id == BICYCLE else int(rng.integers(layout.lanes))
    way = path(layout, ways[int(rng.integers(len(ways)))], lane)
    clock = _clock(way, float(rng.uniform(*kind.speed_mps)), kind.turn_mps2)
    start = float(rng.uniform(-clock[-1], demand.duration_s))
    variant = int(rng.integers(VARIANTS))
    return Trip(model(class_id, variant, lamps_on=lamps_on), way, clock + start)


def _clock(path: Path, cruise_mps: float, turn_mps2: float) -> Floats:
    """Times in seconds at which a vehicle passes each point, from 0; it slows down for turns."""
    step = np.diff(path.along_m)
    bend = np.convolve(path.bend_per_m, np.ones(5) / 5, mode="same")
    squared = np.minimum(cruise_mps**2, turn_mps2 / np.maximum(bend, 1e-4))
    # Speed changes by at most BRAKE_MPS2, forward and backward: v**2 rises by 2 a s at most.
    ramp = 2 * BRAKE_MPS2 * path.along_m
    squared = np.minimum.accumulate(squared - ramp) + ramp
    squared = np.minimum.accumulate((squared + ramp)[::-1])[::-1] - ramp
    speed = np.sqrt(squared)
    return np.concatenate([[0.0], np.cumsum(2 * step / (speed[1:] + speed[:-1]))])


def _room(trip: Trip, times_s: Floats) -> Floats:
    """The areas [T, 4, 2] that a trip occupies over time: the footprint with a margin."""
    length, width = trip.model.length_m + GAP_M, trip.model.width_m + SIDE_GAP_M
    return corners(trip.places(times_s), length_m=length, width_m=width)


def _blocked(room: Floats, taken: Sequence[Floats]) -> bool:
    if not taken:
        return False
    others = np.stack(taken)
    with np.errstate(invalid="ignore"):
        present = ~np.isnan(others[..., 0, 0]) & ~np.isnan(room[..., 0, 0])
        return bool((overlap(others, room) & present).any())
