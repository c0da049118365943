"""When pictures were taken: what the source says or, where that makes no sense, what we see."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from typing import Protocol

MAX_LEAP_S = 10.0
"""A live source's clock that runs ahead of ours by more, from one picture to the next, was set."""

ARRIVAL_TIME_BASE = Fraction(1, 90_000)
"""Seconds of one unit where a source has no clock, as RTP has it."""


class Clock(Protocol):
    """Gives the pictures of one session their times, in order."""

    time_base: Fraction
    """Seconds of one unit."""

    def place(self, pts: int | None) -> int:
        """The time of the next picture, in units of `time_base`, later than all before.

        Args:
            pts: what the container says; None where it says nothing.
        """


class FileClock:
    """Times of a file. They are missing in some, and run backwards in others.

    Args:
        time_base: seconds of one unit.
        frame_rate: of a picture without a time.
    """

    def __init__(self, time_base: Fraction, frame_rate: Fraction) -> None:
        self.time_base = time_base
        self._step = max(1, round(1 / (frame_rate * time_base)))
        self._last = -1

    def place(self, pts: int | None) -> int:
        """See `Clock`."""
        pts = pts if pts is not None else self._last + self._step
        self._last = max(pts, self._last + 1)
        return self._last


class LiveClock:
    """Times of a live source: by its own clock as long as that goes on, else by their arrival.

    A camera whose clock is set, an hour back for example, goes on as if it had not been. Pictures
    may come late, all at once, but not from the future.

    Args:
        time_base: seconds of one unit.
        is_trusted: whether the container has a clock at all; else FFmpeg makes times up.
        now: seconds of a clock that nobody sets.
    """

    def __init__(
        self,
        time_base: Fraction,
        *,
        is_trusted: bool = True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.time_base = time_base if is_trusted else ARRIVAL_TIME_BASE
        self._is_trusted = is_trusted
        self._now = now
        self._arrived: float | None = None
        self._said: int | None = None
        self._last = 0

    def place(self, pts: int | None) -> int:
        """See `Clock`."""
        said = pts if self._is_trusted else None
        arrived = self._now()
        if self._arrived is None:
            self._last = said or 0
        else:
            self._last += max(1, self._step(said, arrived - self._arrived))
        self._arrived, self._said = arrived, said
        return self._last

    def _step(self, said: int | None, passed_s: float) -> int:
        if said is not None and self._said is not None:
            step = said - self._said
            if 0 <= step * self.time_base <= passed_s + MAX_LEAP_S:
                return step
        return round(passed_s / self.time_base)
