"""Histograms of durations, whose memory does not grow with the number of frames."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

STAGES = ("decode", "downscale", "request", "track", "draw", "write")
"""The stages of the pipeline, in the order in which a frame passes them."""

_LOWEST_S, _STEP, _BUCKETS = 1e-4, 1.03, 500  # up to 250 s


@dataclass
class Durations:
    """A histogram of durations with a resolution of 3%."""

    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(_BUCKETS, np.int64))
    """Number of durations in each bucket; see `edge_s`."""
    total_s: float = 0.0
    """The exact sum of the durations."""

    def add(self, seconds: float) -> None:
        """Add a duration."""
        bucket = math.ceil(math.log(max(seconds, _LOWEST_S) / _LOWEST_S, _STEP))
        self.counts[min(bucket, _BUCKETS - 1)] += 1
        self.total_s += seconds

    def percentile_s(self, percent: float) -> float:
        """The percentile of the durations in seconds; NaN if there are none."""
        total = self.counts.sum()
        if not total:
            return float("nan")
        bucket = int(np.searchsorted(self.counts.cumsum(), total * percent / 100))
        return edge_s(bucket)

    def __add__(self, other: Durations) -> Durations:
        return Durations(self.counts + other.counts, self.total_s + other.total_s)

    def __sub__(self, earlier: Durations) -> Durations:
        return Durations(self.counts - earlier.counts, self.total_s - earlier.total_s)


@dataclass
class StageTimer:
    """The durations of frames in each stage."""

    stages: dict[str, Durations] = field(
        default_factory=lambda: {name: Durations() for name in STAGES}
    )

    def __getitem__(self, name: str) -> Durations:
        return self.stages[name]

    def __add__(self, other: StageTimer) -> StageTimer:
        return StageTimer({name: self[name] + other[name] for name in STAGES})

    def __sub__(self, earlier: StageTimer) -> StageTimer:
        return StageTimer({name: self[name] - earlier[name] for name in STAGES})

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time inside the block to the stage `name`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self[name].add(time.perf_counter() - started)


def edge_s(bucket: int) -> float:
    """The upper edge of a bucket of `Durations`, in seconds."""
    return float(_LOWEST_S * _STEP**bucket)


def bucket_of(seconds: float) -> int:
    """The bucket of `Durations` whose upper edge is closest to a duration."""
    return round(math.log(seconds / _LOWEST_S, _STEP))
