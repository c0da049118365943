"""How long a client stays blind after an outage: `python -m tests.faults.outages 5 30 80`.

A server is stopped for so many seconds and started again, or its host is unplugged; a camera goes
on asking. Printed are the seconds from the server's readiness to the first answer, for a detector
that asked all the time, one that did not, and one that was made anew.
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


def ask_in_vain(detector: Detector, seconds: float) -> None:
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


def back(busy: Detector, idle: Detector) -> str:
    new = first_answer(lambda: connected(busy.url, busy.transport).close())
    times = {"new": new, "busy": new + first_answer(lambda: busy.detect(FRAME))}
    times["idle"] = times["busy"] + first_answer(lambda: idle.detect(FRAME))
    return ", ".join(f"{name} {seconds:.2f} s" for name, seconds in times.items())


def stopped(seconds: float) -> str:
    with serve_instant() as server:
        ports = Ports(grpc=server.ports.grpc)
        busy, idle = (connected(server.url, "shared-memory") for _ in range(2))
    ask_in_vain(busy, seconds)
    with serve_instant(ports), busy, idle:
        return back(busy, idle)


def unplugged(seconds: float) -> str:
    with other_host() as host, host.serving():
        busy, idle = (connected(host.url, "grpc") for _ in range(2))
        host.unplug()
        ask_in_vain(busy, seconds)
        host.plug()
        with busy, idle:
            return back(busy, idle)


def main() -> None:
    for seconds in map(float, sys.argv[1:] or ("5", "30", "80")):
        for fault in (stopped, unplugged):
            print(f"{fault.__name__} for {seconds:g} s: {fault(seconds)}", flush=True)


if __name__ == "__main__":
    main()
