"""How long each stage of a frame's path took."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

STAGES = ("decode", "shrink", "request", "track", "draw", "encode")
"""In the order a frame passes them."""

# Enough for a p99 that means something, and a camera may run for months.
LATENCIES_KEPT = 10_000


@dataclass
class Clock:
    """Sums of seconds by stage, and the latest requests one by one."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside the block as `name`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - started

    def add_request(self, *, shrink_s: float, request_s: float) -> None:
        """Count one frame's way to the server and back."""
        self.seconds["shrink"] += shrink_s
        self.seconds["request"] += request_s
        self.latencies_s.append(request_s)

    def latency_s(self, percentile: float) -> float:
        """Seconds within which `percentile` % of the requests were answered; NaN without any."""
        if not self.latencies_s:
            return float("nan")
        return float(np.percentile(self.latencies_s, percentile))
