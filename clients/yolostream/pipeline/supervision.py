"""When a live source counts as away, and when it is opened again. It has no thread and no clock."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from yolostream.errors import SourceDenied, SourceError, SourceUnsupported
from yolostream.pipeline.status import State
from yolostream.sources.opening import CONNECT_TIMEOUT_S

STALE_AFTER_S = 5.0
"""Seconds without a frame after which a camera is opened again."""

CAMERA_PATIENCE_S = 10.0
"""Seconds that a camera which has never given a frame is tried for: its address may be wrong."""

SHARE_OF_ABSENCE = 0.05
"""A camera that is away for a minute may stay so for another three seconds before anybody looks."""

STEADY_S = 10.0
"""One that gave frames for a shorter time has not come back."""


@dataclass(frozen=True)
class Limits:
    """How patient we are with live sources; all in seconds."""

    stale_after_s: float = STALE_AFTER_S
    camera_patience_s: float = CAMERA_PATIENCE_S
    wait_s: tuple[float, float] = (1.0, 60.0)
    """Shortest and longest limit of the wait until a camera that is away is opened again."""
    refused_wait_s: tuple[float, float] = (60.0, 600.0)
    """The same, and no less, where it refuses a password or sends no video: it has to be changed
    by hand, and accounts are locked where somebody asks too often."""

    @property
    def first_frame_s(self) -> float:
        """From the attempt to open it to the first frame."""
        return CONNECT_TIMEOUT_S + self.stale_after_s


@dataclass(frozen=True)
class Retry:
    """That a source is opened again, and when."""

    state: State
    """Until then."""
    delay_s: float


class Supervision:
    """What becomes of a live source whose session is over.

    It is opened again after a random part of a limit, so that cameras that went away together do
    not come back in step ("full jitter"). The limit grows with the time that the source has been
    away, from 1 to 60 s: who was away shortly is back soon.

    Args:
        limits: how patient we are.
        now: seconds of the clock that all times here are of.
        is_known: whether it has given frames before.
        jitter: a random number from 0 to 1.
    """

    def __init__(
        self,
        limits: Limits,
        now: float,
        *,
        is_known: bool = False,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._limits = limits
        self._is_known = is_known
        self._jitter = jitter
        self._began = self._away_since = now
        self._refused_wait_s, _ = limits.refused_wait_s

    def gave_frames(self, first_at: float, last_at: float) -> None:
        """The session that is over had frames, between these times."""
        self._is_known = True
        self._refused_wait_s, _ = self._limits.refused_wait_s
        if last_at - first_at >= STEADY_S:
            self._away_since = last_at

    def after(self, problem: SourceError, now: float) -> Retry | None:
        """What comes after a session that ended with `problem`; None where it is given up.

        That is a source that has never given a frame, and would be tried again too late.
        """
        retry = self._retry(problem, now)
        is_late = now + retry.delay_s > self._began + self._limits.camera_patience_s
        return None if is_late and not self._is_known else retry

    def _retry(self, problem: SourceError, now: float) -> Retry:
        if isinstance(problem, SourceDenied | SourceUnsupported):
            delay_s = self._refused_wait_s * (1 + self._jitter() / 4)
            self._refused_wait_s = min(2 * self._refused_wait_s, self._limits.refused_wait_s[1])
            state: State = "auth_failed" if isinstance(problem, SourceDenied) else "unsupported"
            return Retry(state, delay_s)
        shortest, longest = self._limits.wait_s
        limit = min(longest, max(shortest, (now - self._away_since) * SHARE_OF_ABSENCE))
        return Retry("backoff", limit * self._jitter())
