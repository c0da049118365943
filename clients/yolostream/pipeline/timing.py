"""How long things took, in little memory for however many frames."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

STAGES = ("decode", "downscale", "request", "track", "draw", "write")
"""In the order a frame passes them."""

_LOWEST_S, _STEP, _BUCKETS = 1e-4, 1.03, 500  # up to 250 s


@dataclass
class Durations:
    """A histogram of durations, exact to 3%."""

    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(_BUCKETS, np.int64))
    total_s: float = 0.0
    """Their sum, which is exact."""

    def add(self, seconds: float) -> None:
        """Count one."""
        bucket = math.ceil(math.log(max(seconds, _LOWEST_S) / _LOWEST_S, _STEP))
        self.counts[min(bucket, _BUCKETS - 1)] += 1
        self.total_s += seconds

    def percentile_s(self, percent: float) -> float:
        """Seconds that `percent` % of them did not exceed; NaN without any."""
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
    """How long frames took in each stage."""

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
        """Count the time inside the block as `name`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self[name].add(time.perf_counter() - started)


def edge_s(bucket: int) -> float:
    """The longest duration in seconds that is counted in a bucket of `Durations`."""
    return float(_LOWEST_S * _STEP**bucket)


def bucket_of(seconds: float) -> int:
    """The bucket of `Durations` whose edge is closest to a duration."""
    return round(math.log(seconds / _LOWEST_S, _STEP))
