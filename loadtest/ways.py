"""Ways from a frame to its boxes, and what each takes."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Protocol

WARM_UP = 5
"""Frames before the clock starts."""


Walk = Generator[tuple[float, float], None, None]
"""Seconds from frame to boxes, and those of them that the caller spent, frame by frame."""


class Answer(Protocol):
    """A frame on its way: a `Future` or a `Pending`."""

    def result(self) -> Any:
        """Wait for what comes back."""


@dataclass(frozen=True)
class Way:
    """One way; frames go around in a circle."""

    items: Sequence[Any]
    """Frames, or tensors that are ready for the network."""
    submit: Callable[[Any], Answer]
    in_flight: int
    """Frames on their way at once."""
    models: tuple[str, ...] = ()
    """Models of the server that a frame passes, in order."""
    finish: Callable[[Any], object] = lambda answer: answer
    """What remains to be done with the answer."""


@dataclass(frozen=True)
class Pace:
    """What a way did."""

    frames_per_s: float
    latency_ms: float
    """Mean from taking a frame to having its boxes."""
    client_ms: float
    """The part of it in which the caller was busy: before it was sent, after it came back."""


@contextlib.contextmanager
def walking(way: Way) -> Iterator[Walk]:
    """Go a way until the block ends; the first frames are over when it begins."""
    walk = _walk(way)
    try:
        for _ in range(WARM_UP):
            next(walk)
        yield walk
    finally:
        walk.close()


def measure(walk: Walk, seconds: float) -> Pace:
    """Go on for some seconds."""
    frames, latency_s, client_s = 0, 0.0, 0.0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        latency, client = next(walk)
        frames, latency_s, client_s = frames + 1, latency_s + latency, client_s + client
    return Pace(frames / elapsed, 1000 * latency_s / frames, 1000 * client_s / frames)


def _walk(way: Way) -> Walk:
    waiting: deque[tuple[float, float, Answer]] = deque()
    try:
        for item in cycle(way.items):
            taken = time.perf_counter()
            answer = way.submit(item)
            waiting.append((taken, time.perf_counter() - taken, answer))
            if len(waiting) == way.in_flight:
                taken, before, answer = waiting.popleft()
                content = answer.result()
                back = time.perf_counter()
                way.finish(content)
                done = time.perf_counter()
                yield done - taken, before + done - back
    except GeneratorExit:
        for _, _, answer in waiting:
            answer.result()
