"""The right to run a camera, and until when it may be used."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

GUARD = 0.75
"""Of the duration of a lease: its holder stops so early, and others wait to the end. What lies
between covers clocks that run at different speeds, and a result that leaves just in time."""


def steady_s() -> float:
    """Seconds since the machine was started, the same in all its processes.

    It goes on while a machine sleeps, which `time.monotonic` does not.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Lease:
    """The right of one instance to run a camera."""

    number: int
    """Of the camera's holders, counted from 1: the fencing number. No two have the same."""
    session: str
    """In which it was taken. All leases of a session end with it."""


@dataclass(frozen=True)
class Owner:
    """Who runs a camera."""

    instance: str
    number: int
    """Of the lease."""


class Fence:
    """Whether results of a camera may leave this process, asked for each of them.

    Any thread may use it.

    Args:
        clock: tells seconds.
    """

    def __init__(self, clock: Callable[[], float] = steady_s) -> None:
        self._clock = clock
        # Replaced as a whole, so that nobody sees half of it.
        self._session: tuple[str, float] = ("", 0.0)

    def extend(self, session: str, until_s: float) -> None:
        """Let leases of a session count until then, by `steady_s`, and no others."""
        self._session = (session, until_s)

    def lets(self, lease: Lease) -> bool:
        """Whether a lease counts now."""
        session, until_s = self._session
        return lease.session == session and self._clock() < until_s
