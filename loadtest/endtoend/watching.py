"""What is seen of a program while it runs: frames, processor time and memory."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
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


def steady(moments: Sequence[Moment]) -> tuple[float, float] | None:
    """Frames per second in the middle of a run, and the client's milliseconds for a frame there.

    Returns:
        Both, or None if the run was too short.
    """
    if not moments:
        return None
    first, last = moments[0].frames, moments[-1].frames
    low, high = (first + share * (last - first) for share in (_FROM, _TO))
    middle = [moment for moment in moments if low <= moment.frames <= high]
    if not middle or not (frames := middle[-1].frames - middle[0].frames):
        return None
    seconds, client_s = middle[-1].at_s - middle[0].at_s, middle[-1].client_s - middle[0].client_s
    return frames / seconds, 1000 * client_s / frames


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
