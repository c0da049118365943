"""Measures frames/s through one, two and three servers: `python -m loadtest.servers`.

The servers have a model that answers at once, so the client and the messages are measured. All
processes share the cores of this machine.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections import deque

import numpy as np
from yolostream import Detector

from tests.instant import MODEL, serve_instant

MOST_SERVERS = 3
_ROUNDS = 5
_SECONDS = 3.0
_IN_FLIGHT = 24
_FRAME = np.full((360, 640, 3), 114, np.uint8)
"""The client sends a frame of 1280x720 in this size."""


def frames_per_second(urls: list[str]) -> float:
    """The rate of one client that sends frames to these servers in messages."""
    with Detector(urls, MODEL, transport="grpc", max_in_flight=_IN_FLIGHT) as detector:
        pending = deque(detector.submit(_FRAME) for _ in range(_IN_FLIGHT))
        started, answered = time.perf_counter(), 0
        while time.perf_counter() - started < _SECONDS:
            pending.popleft().result()
            answered += 1
            pending.append(detector.submit(_FRAME))
        return answered / (time.perf_counter() - started)


def main() -> None:
    """Print the median of several rounds for each number of servers."""
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(serve_instant()).url for _ in range(MOST_SERVERS)]
        counts = range(1, MOST_SERVERS + 1)
        rounds = [{n: frames_per_second(urls[:n]) for n in counts} for _ in range(_ROUNDS)]
    for n in counts:
        speeds = [one[n] for one in rounds]
        sys.stdout.write(
            f"{n} servers: {statistics.median(speeds):.0f} frames/s "
            f"({min(speeds):.0f} to {max(speeds):.0f})\n"
        )


if __name__ == "__main__":
    main()
