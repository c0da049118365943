"""Decides when a live source is opened again. It uses no thread and no clock."""

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
"""Seconds after which a camera that has never given a frame fails: its address may be wrong."""

SHARE_OF_ABSENCE = 0.05
"""Longest wait before a source is opened again, as a fraction of the time that it has been away:
3 s after a minute."""

STEADY_S = 10.0
"""A source that gave frames for a shorter time still counts as away."""


@dataclass(frozen=True)
class Limits:
    """Timeouts of live sources, in seconds."""

    stale_after_s: float = STALE_AFTER_S
    """Time without a frame after which a source is opened again."""
    camera_patience_s: float = CAMERA_PATIENCE_S
    """Time after which a source that has never given a frame fails."""
    wait_s: tuple[float, float] = (1.0, 60.0)
    """Smallest and largest upper bound of the random wait before a source is opened again."""
    refused_wait_s: tuple[float, float] = (60.0, 600.0)
    """First and longest wait after the source has refused a password or sent no video. It is long,
    because a person has to correct that, and because cameras lock accounts after many attempts."""

    @property
    def first_frame_s(self) -> float:
        """Time from opening a source to its first frame."""
        return CONNECT_TIMEOUT_S + self.stale_after_s


@dataclass(frozen=True)
class Retry:
    """The decision to open a source again."""

    state: State
    """The source's state until then."""
    delay_s: float
    """Seconds until then."""


class Supervision:
    """Decides what happens to a live source whose session has ended.

    It is opened again after a random part of a limit ("full jitter"), so that cameras that failed
    together are not opened all at once. The limit is a fraction of the time that the source has
    been away, and at least 1 s and at most 60 s. So a short outage ends quickly.

    Args:
        limits: timeouts and waits.
        now: the time at the start, in seconds of any clock; all other times are of the same clock.
        is_known: whether the source has given frames before.
        jitter: returns a random number from 0 to 1.
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
        """Note that the last session had frames, and when the first and the last one came."""
        self._is_known = True
        self._refused_wait_s, _ = self._limits.refused_wait_s
        if last_at - first_at >= STEADY_S:
            self._away_since = last_at

    def after(self, problem: SourceError, now: float) -> Retry | None:
        """Decide what follows a session that ended with `problem` at the time `now`.

        Returns:
            When to open the source again. None if it has never given a frame, and that would be
            later than `camera_patience_s` after the start.
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
