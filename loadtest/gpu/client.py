"""The Python client by each way that its frames can travel."""

from __future__ import annotations

import statistics
import time
from itertools import cycle, islice
from typing import Any

from yolostream import Detector
from yolostream.client.transport.choice import Transport
from yolostream.image import Image

from loadtest.rate import rate

TRANSPORTS: tuple[Transport, ...] = ("grpc", "shared-memory", "cuda-shared-memory")
BUSY = 8
"""Frames in flight that keep the network busy."""

_WARM_UP = 20


def measure(url: str, model: str, frames: list[Image], *, window_s: float) -> dict[str, Any]:
    """Send frames by each transport in turn.

    Args:
        url: gRPC address of the server.
        model: The ensemble.
        frames: uint8 [H, W, 3] each, RGB, in host memory.
        window_s: Length of each of the two measurements of a transport, in seconds.

    Returns:
        By transport: `p50_ms`, one frame at a time, and `frames_per_s`, with `BUSY` in flight.

    Raises:
        ServerError: The server cannot be reached so.
    """
    measured: dict[str, Any] = {}
    for transport in TRANSPORTS:
        with Detector(url, model, transport=transport, max_in_flight=BUSY) as detector:
            for frame in islice(cycle(frames), _WARM_UP):
                detector.detect(frame)
            times_s = _one_at_a_time(detector, frames, window_s)
            busy = rate(detector.stream(cycle(frames), in_flight=BUSY), window_s, warm_up=_WARM_UP)
            measured[transport] = {
                "p50_ms": round(1000 * statistics.median(times_s), 3),
                "frames_per_s": round(busy, 1),
            }
    return measured


def _one_at_a_time(detector: Detector, frames: list[Image], window_s: float) -> list[float]:
    times_s, end = [], time.perf_counter() + window_s
    for frame in cycle(frames):
        started = time.perf_counter()
        if started > end:
            break
        detector.detect(frame)
        times_s.append(time.perf_counter() - started)
    return times_s
