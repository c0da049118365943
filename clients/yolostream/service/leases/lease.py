"""Leases of cameras, and the check that a lease is still valid."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

GUARD = 0.75
"""Fraction of a lease's duration after which its holder stops. Other instances wait for the whole
duration. The difference covers clocks that run at different speeds."""


def steady_s() -> float:
    """Seconds since the machine booted, equal in all its processes.

    Unlike `time.monotonic`, it also counts while the machine is suspended.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Lease:
    """The exclusive right of an instance to run a camera."""

    number: int
    """Fencing number: it starts at 1 and grows by one with each new holder of the camera."""
    session: str
    """Session in which it was acquired. All leases of a session expire together."""


@dataclass(frozen=True)
class Owner:
    """The instance that runs a camera."""

    instance: str
    number: int
    """Number of its lease."""


class Fence:
    """Checks whether a lease is valid now. Every result is checked before it is written.

    It may be used from any thread.

    Args:
        clock: returns the current time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = steady_s) -> None:
        self._clock = clock
        # It is one tuple, so that other threads never see a half-made change.
        self._session: tuple[str, float] = ("", 0.0)

    def extend(self, session: str, until_s: float) -> None:
        """Make leases of this session valid until `until_s`, and those of all others invalid."""
        self._session = (session, until_s)

    def lets(self, lease: Lease) -> bool:
        """Whether a lease is valid now."""
        session, until_s = self._session
        return lease.session == session and self._clock() < until_s
