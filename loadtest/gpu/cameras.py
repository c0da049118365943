"""How many cameras hold, sent by perf_analyzer.

Cameras in Python, as `loadtest.capacity` has them, would take more cores at 1,500 frames/s than the
server does, and their waits for each other would count as its own. So perf_analyzer sends what they
would: each camera every 1/30 s, all of them at moments of their own, answered or not.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from loadtest.gpu.rows import CAMERA_FPS, CAMERA_P99_MS

_MICROSECONDS = 1_000_000
_ANSWERED = 0.97
"""Share of the rate that has to be seen; the rest is lost at the edges of short windows. A server
that really falls so far behind is a second late after half a minute, and over the bound at once."""


def intervals_us(cameras: int, *, frames_per_second: float = CAMERA_FPS) -> list[int]:
    """Microseconds between the frames of so many cameras, for one frame of each.

    Args:
        cameras: Each starts at a random moment, the same in every run.
        frames_per_second: Of each.
    """
    period = round(_MICROSECONDS / frames_per_second)
    chance = random.Random(cameras)
    moments = sorted(chance.randrange(period) for _ in range(cameras))
    # perf_analyzer knows no frames at the same moment.
    return [max(1, after - before) for before, after in pairwise([*moments, moments[0] + period])]


def write_intervals(path: Path, cameras: int) -> None:
    """Write `intervals_us` for perf_analyzer."""
    path.write_text("".join(f"{interval}\n" for interval in intervals_us(cameras)))


def held(cameras: int, measured: dict[str, Any]) -> bool:
    """Whether so many cameras were answered in time, by what `measure_once` returned."""
    if "frames_per_s" not in measured:
        return False
    answered = measured["frames_per_s"] / (cameras * CAMERA_FPS)
    return bool(answered >= _ANSWERED and measured["latency_ms"]["p99"] <= CAMERA_P99_MS)


def most(holds: Callable[[int], bool], *, at_most: int) -> int:
    """Search for the most cameras that hold; the number found has held twice.

    Args:
        holds: Measures so many.
        at_most: More are not tried; what the server answers without a bound, say.
    """
    low, high = 0, at_most + 1
    times = Counter[int]()
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            low = middle
            times[low] += 1
        else:
            high = middle
    while low and times[low] < 2:
        if holds(low):
            times[low] += 1
        else:
            low -= max(1, low // 25)
    return low
