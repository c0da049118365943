"""How many cameras hold, sent by perf_analyzer.

Cameras in Python, as `loadtest.capacity` has them, would take more cores at 1,500 frames/s than the
server does, and their waits for each other would count as its own. So perf_analyzer sends what they
would: each camera every 1/30 s, all of them at moments of their own, answered or not.
"""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

from loadtest.gpu.rows import CAMERA_FPS

P99_MS = 33.0
_ANSWERED = 0.97
"""Share of the rate that has to be seen; the rest is lost at the edges of short windows. A server
that really falls so far behind is a second late after half a minute, and over the bound at once."""


def intervals_us(cameras: int, *, frames_per_second: float = CAMERA_FPS) -> list[int]:
    """Microseconds between the frames of so many cameras, for one frame of each.

    Args:
        cameras: Each starts at a random moment, the same in every run.
        frames_per_second: Of each.
    """
    period = round(1_000_000 / frames_per_second)
    chance = random.Random(cameras)
    moments = sorted(chance.randrange(period) for _ in range(cameras))
    # perf_analyzer knows no frames at the same moment.
    return [max(1, after - before) for before, after in pairwise([*moments, moments[0] + period])]


def held(cameras: int, measured: dict[str, Any]) -> bool:
    """Whether so many cameras were answered in time, by what perf_analyzer measured."""
    if "frames_per_s" not in measured:
        return False
    answered = measured["frames_per_s"] / (cameras * CAMERA_FPS)
    return bool(answered >= _ANSWERED and measured["latency_ms"]["p99"] <= P99_MS)
