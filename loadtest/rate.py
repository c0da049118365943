"""How fast something goes that yields an item at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any


def rate(work: Iterator[Any], seconds: float, *, warm_up: int) -> float:
    """Items per second, for so long, after the first `warm_up` items; `work` can go on then."""
    for _ in islice(work, warm_up):
        pass
    count, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        next(work)
        count += 1
    return count / elapsed
