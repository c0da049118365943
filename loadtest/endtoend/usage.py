"""Processor time and memory of processes, and how many frames the server has answered."""

from __future__ import annotations

import contextlib
import resource
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import psutil
from yolostream.errors import ServerError

from loadtest.gpu.watch import cpu_s

FRAMES_EVERY_S = 0.25
"""How often the server is asked how many frames it has answered."""

_MEMORY_EVERY = 4
"""So many times as seldom, memory is counted: that costs milliseconds a process."""

_FROM, _TO = 0.2, 0.9
"""The part of a run that its steady rate is taken from."""


def children_cpu_s() -> float:
    """Processor time of all children that have ended, and of theirs, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def server_cpu_s(pids: Sequence[int]) -> dict[str, float]:
    """Processor time of a server so far in seconds: `tritonserver`, and each model's stubs."""
    spent: dict[str, float] = defaultdict(float)
    for name, seconds in cpu_s(pids).items():
        spent[name.rpartition(" (")[0]] += seconds
    return dict(spent)


def memory_mb(pid: int) -> float:
    """Memory of a process and its descendants in MB, shared pages shared out."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_full_info().pss
    return total / 1e6


@dataclass
class Watched:
    """What was seen of a run.

    Attributes:
        answered: Moments in seconds, and frames that the server had answered by then.
        memory_mb: Of the client, again and again.
    """

    answered: list[tuple[float, int]] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    @property
    def steady_frames_per_s(self) -> float | None:
        """Frames per second in the middle, without start and end; None where it was too short."""
        if not self.answered:
            return None
        first, last = self.answered[0][1], self.answered[-1][1]
        low, high = (first + share * (last - first) for share in (_FROM, _TO))
        middle = [(moment, count) for moment, count in self.answered if low <= count <= high]
        if len(middle) < 2 or middle[-1][0] == middle[0][0]:
            return None
        return (middle[-1][1] - middle[0][1]) / (middle[-1][0] - middle[0][0])


@contextlib.contextmanager
def watched(pid: int, answered: Callable[[], int]) -> Iterator[Watched]:
    """Watch a client inside the block.

    Args:
        pid: Of the client.
        answered: Frames that the server has answered so far.
    """
    seen, done = Watched(), threading.Event()

    def watch() -> None:
        beats = 0
        while not done.wait(FRAMES_EVERY_S):
            beats += 1
            # A server that is away shows in the client's own errors.
            with contextlib.suppress(ServerError):
                seen.answered.append((time.monotonic(), answered()))
            if beats % _MEMORY_EVERY == 0:
                seen.memory_mb.append(memory_mb(pid))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()
