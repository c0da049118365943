"""Scenarios: how frames become boxes, and how fast each of them is."""

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


Run = Generator[tuple[float, float], None, None]
"""Seconds from frame to boxes, and those of them that the caller spent, frame by frame."""


class Answer(Protocol):
    """A frame on its way: a `Future` or a `Pending`."""

    def result(self) -> Any:
        """Wait for what comes back."""


@dataclass(frozen=True)
class Scenario:
    """One way to turn frames into boxes; the frames are repeated."""

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
class Throughput:
    """What a scenario achieved."""

    frames_per_s: float
    latency_ms: float
    """Mean from taking a frame to having its boxes."""
    client_ms: float
    """The part of it in which the caller was busy: before it was sent, after it came back."""


@contextlib.contextmanager
def running(scenario: Scenario) -> Iterator[Run]:
    """Run a scenario until the block ends; it is warmed up when the block begins."""
    run = _run(scenario)
    try:
        for _ in range(WARM_UP):
            next(run)
        yield run
    finally:
        run.close()


def measure(run: Run, seconds: float) -> Throughput:
    """Continue a run for so many seconds."""
    frames, latency_s, client_s = 0, 0.0, 0.0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        latency, client = next(run)
        frames, latency_s, client_s = frames + 1, latency_s + latency, client_s + client
    return Throughput(frames / elapsed, 1000 * latency_s / frames, 1000 * client_s / frames)


def _run(scenario: Scenario) -> Run:
    waiting: deque[tuple[float, float, Answer]] = deque()
    try:
        for item in cycle(scenario.items):
            taken = time.perf_counter()
            answer = scenario.submit(item)
            waiting.append((taken, time.perf_counter() - taken, answer))
            if len(waiting) == scenario.in_flight:
                taken, before, answer = waiting.popleft()
                content = answer.result()
                back = time.perf_counter()
                scenario.finish(content)
                done = time.perf_counter()
                yield done - taken, before + done - back
    except GeneratorExit:
        for _, _, answer in waiting:
            answer.result()
