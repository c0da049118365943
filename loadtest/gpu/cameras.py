"""How many cameras hold, sent by perf_analyzer.

Cameras in Python, as `loadtest.capacity` has them, would take more cores at 1,500 frames/s than the
server does, and their waits for each other would count as its own. So perf_analyzer sends what they
would: each camera every 1/30 s, all of them at moments of their own, answered or not.
"""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

from loadtest.bound import Bound
from loadtest.gpu.rows import CAMERA_FPS

BOUND = Bound(CAMERA_FPS, latency_s=0.033)


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
    each = measured["frames_per_s"] / cameras
    return not BOUND.broken_by(measured["latency_ms"]["p99"], frames_per_s_each=each)
