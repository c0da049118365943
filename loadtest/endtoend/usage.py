"""Processor time and memory of processes, and how many frames the server has answered."""

from __future__ import annotations

import contextlib
import resource
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from yolostream.errors import ServerError

from loadtest.gpu.watch import cpu_s_by_name
from loadtest.usage import cpu_s, family, memory_mb

FRAMES_EVERY_S = 0.25
"""How often the server is asked how many frames it has answered."""

_FAMILY_EVERY = 4
"""So many times as seldom, new workers are looked for."""

_MEMORY_EVERY = 16
"""So many times as seldom, memory is counted: that holds a process up for some milliseconds, and
once a second would be seen in the p99 of a frame's age."""

_FROM, _TO = 0.2, 0.9
"""The part of a run that its steady rate is taken from."""


def children_cpu_s() -> float:
    """Processor time of all children that have ended, and of theirs, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def server_cpu_s(pids: Sequence[int]) -> dict[str, float]:
    """Processor time of a server so far in seconds: `tritonserver`, and each model's stubs."""
    spent: dict[str, float] = defaultdict(float)
    for name, seconds in cpu_s_by_name(pids).items():
        spent[name.rpartition(" (")[0]] += seconds
    return dict(spent)


class Moment(NamedTuple):
    """What was so at one time.

    Attributes:
        at_s: The time.
        frames: That the server had answered.
        client_s: Processor time of the client.
    """

    at_s: float
    frames: int
    client_s: float = 0.0


@dataclass
class Watched:
    """What was seen of a run.

    Attributes:
        moments: Again and again.
        memory_mb: Of the client, somewhat more seldom.
    """

    moments: list[Moment] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    @property
    def steady_frames_per_s(self) -> float | None:
        """Frames per second in the middle, without start and end; None where it was too short."""
        middle = self._middle
        return None if middle is None else middle.frames / middle.at_s

    @property
    def steady_client_ms(self) -> float | None:
        """Milliseconds of processor time that a frame took the client there."""
        middle = self._middle
        return None if middle is None else 1000 * middle.client_s / middle.frames

    @property
    def _middle(self) -> Moment | None:
        """What came between the moments that the middle begins and ends with."""
        if not self.moments:
            return None
        first, last = self.moments[0].frames, self.moments[-1].frames
        low, high = (first + share * (last - first) for share in (_FROM, _TO))
        within = [moment for moment in self.moments if low <= moment.frames <= high]
        if len(within) < 2 or within[0].frames == within[-1].frames:
            return None
        begin, end = within[0], within[-1]
        return Moment(
            end.at_s - begin.at_s, end.frames - begin.frames, end.client_s - begin.client_s
        )


@contextlib.contextmanager
def watched(pid: int, answered: Callable[[], int]) -> Iterator[Watched]:
    """Watch a client inside the block.

    Args:
        pid: Of the client.
        answered: Frames that the server has answered so far.
    """
    seen, done = Watched(), threading.Event()

    def watch() -> None:
        beats, processes = 0, family(pid)
        while not done.wait(FRAMES_EVERY_S):
            beats += 1
            # A server that is away shows in the client's own errors.
            with contextlib.suppress(ServerError):
                now = Moment(time.monotonic(), answered(), cpu_s(processes))
                seen.moments.append(now)
            if beats % _FAMILY_EVERY == 0:
                processes = family(pid)
            if beats % _MEMORY_EVERY == _MEMORY_EVERY // 2:
                seen.memory_mb.append(memory_mb(processes))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()
