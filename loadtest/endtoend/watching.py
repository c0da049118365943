"""What is seen of a program while it runs: frames, processor time and memory."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from yolostream.errors import ServerError

from loadtest.processes import cpu_s, family, memory_mb

_EVERY_S = 0.25
_FAMILY_EVERY = 4
"""New workers are looked for in each fourth turn."""
_MEMORY_EVERY = 16
"""Memory is measured in each sixteenth turn. That stops a process for some milliseconds, which
would be visible in the p99 of a frame's age if it happened each second."""
_FROM, _TO = 0.2, 0.9
"""The part of a run that its steady rate is taken from."""


class Moment(NamedTuple):
    """The frames that were answered until a time, and the client's processor time until then."""

    at_s: float
    frames: int
    client_s: float


@dataclass
class Watched:
    """What was seen of a run."""

    moments: list[Moment] = field(default_factory=list)
    """Several times a second."""
    memory_mb: list[float] = field(default_factory=list)
    """Memory of the client, every few seconds."""

    @property
    def steady_frames_per_s(self) -> float | None:
        """Frames per second in the middle of the run; None if it was too short."""
        middle = self._middle
        return None if middle is None else middle.frames / middle.at_s

    @property
    def steady_client_ms(self) -> float | None:
        """Processor time of the client for a frame there, in milliseconds."""
        middle = self._middle
        return None if middle is None else 1000 * middle.client_s / middle.frames

    @property
    def _middle(self) -> Moment | None:
        """The differences between the end and the beginning of the middle."""
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
    """Watch a client, with its process `pid`, inside the block."""
    seen, done = Watched(), threading.Event()

    def watch() -> None:
        turn, processes = 0, family(pid)
        while not done.wait(_EVERY_S):
            turn += 1
            # The client itself reports a server that is gone.
            with contextlib.suppress(ServerError):
                seen.moments.append(Moment(time.monotonic(), answered(), cpu_s(processes)))
            if turn % _FAMILY_EVERY == 0:
                processes = family(pid)
            if turn % _MEMORY_EVERY == _MEMORY_EVERY // 2:
                seen.memory_mb.append(memory_mb(processes))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()
