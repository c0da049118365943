"""Measure how long a client gets no answers after an outage.

    python -m tests.faults.outages 5 30 80

A server is stopped for the given seconds and started again, or its host is unplugged. Prints the
seconds from the server's readiness to the first answer for three detectors: one that sent frames
during the outage, one that did not, and a new one. The exit code is 1 if one of them took longer
than 2 s.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from yolostream import Detector
from yolostream.client.transport.choice import Transport
from yolostream.errors import ServerError
from yolostream.server.embedded import Ports

from tests.instant import MODEL, serve_instant
from tests.other_host import other_host

MOST_S = 2.0
FRAME = np.full((360, 640, 3), 114, np.uint8)


def first_answer(ask: Callable[[], object]) -> float:
    started = time.monotonic()
    while True:
        try:
            ask()
        except ServerError:
            time.sleep(0.02)
        else:
            return time.monotonic() - started


def ask_during_outage(detector: Detector, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            detector.detect(FRAME)
        except ServerError:
            time.sleep(0.1)
        else:
            sys.exit("the server is away and answers")


def connected(url: str, transport: Transport) -> Detector:
    detector = Detector(url, MODEL, timeout_s=2, transport=transport)
    detector.detect(FRAME)
    return detector


def back(busy: Detector, idle: Detector) -> dict[str, float]:
    new = first_answer(lambda: connected(busy.url, busy.transport).close())
    times = {"new": new, "busy": new + first_answer(lambda: busy.detect(FRAME))}
    return {**times, "idle": times["busy"] + first_answer(lambda: idle.detect(FRAME))}


def stopped(seconds: float) -> dict[str, float]:
    with serve_instant() as server:
        ports = Ports(grpc=server.ports.grpc)
        busy, idle = (connected(server.url, "shared-memory") for _ in range(2))
    ask_during_outage(busy, seconds)
    with serve_instant(ports), busy, idle:
        return back(busy, idle)


def unplugged(seconds: float) -> dict[str, float]:
    with other_host() as host, host.serving():
        busy, idle = (connected(host.url, "grpc") for _ in range(2))
        host.unplug()
        ask_during_outage(busy, seconds)
        host.plug()
        with busy, idle:
            return back(busy, idle)


def main() -> None:
    longest_s = 0.0
    for seconds in map(float, sys.argv[1:] or ("5", "30", "80")):
        for fault in (stopped, unplugged):
            times = fault(seconds)
            longest_s = max(longest_s, *times.values())
            times_text = ", ".join(f"{name} {time_s:.2f} s" for name, time_s in times.items())
            print(f"{fault.__name__} for {seconds:g} s: {times_text}", flush=True)
    sys.exit(1 if longest_s > MOST_S else 0)


if __name__ == "__main__":
    main()
