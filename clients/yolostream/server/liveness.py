"""Decides when to probe an ensemble, and whether it has failed.

Ensembles are also probed under load. If a step returns each answer one request late, all requests
are answered, and only the probes notice that the answers are wrong.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from yolostream.client.triton_errors import is_about_a_dead_step
from yolostream.errors import DeadlineExceeded, Overloaded, ServerUnavailable, YolostreamError

INTERVAL_S = 10.0
"""Interval of probes."""
URGENT_S = 1.0
"""Interval of probes while requests of clients fail."""
SHARE = 0.05
"""Largest part of the server's time that probes may use."""

ERRORS = 3
"""Number of failed probes in a row that counts as a fault."""
SILENCE_S = 30.0
"""An ensemble that answers no request of any client for so long counts as hung. A batch of a large
network takes seconds on a CPU."""


class Counts(NamedTuple):
    """Numbers of requests of all clients."""

    answered: int
    failed: int


class Liveness:
    """The results of the probes of one ensemble.

    Args:
        now: the current time in seconds, of a monotonic clock, as in all methods.
    """

    def __init__(self, now: float) -> None:
        self._counted: Counts | None = None
        self._alive_at = now
        self._asked_at = -math.inf
        self._took_s = 0.0
        self._errors = 0

    def is_due(self, now: float, counted: Counts | None) -> bool:
        """Whether to probe the ensemble now.

        Args:
            now: the current time.
            counted: the server's statistics since its start; None if they cannot be read.
        """
        before, self._counted = self._counted, counted or self._counted
        fails = False
        if before is not None and counted is not None:
            fails = counted.failed != before.failed
            if counted.answered != before.answered:
                self._alive_at = now
        pause_s = max(URGENT_S if fails else INTERVAL_S, self._took_s / SHARE)
        return now - self._asked_at >= pause_s

    def note_answer(self, now: float, *, asked_at: float) -> None:
        """Note a successful probe that was sent at `asked_at`."""
        self._asked_at = self._alive_at = now
        self._took_s = now - asked_at
        self._errors = 0

    def fault_after(
        self, error: YolostreamError, now: float, *, others_are_answered: bool
    ) -> str | None:
        """Note a failed probe; return why the server has to be restarted, or None if it has not.

        Args:
            error: the error of the probe.
            now: the current time.
            others_are_answered: whether requests of clients were answered meanwhile.
        """
        self._asked_at = now
        if others_are_answered:
            self._alive_at = now
        if is_about_a_dead_step(error):
            # Triton may return late answers of the step for the next frames.
            return str(error)
        # A full queue may mean load, or that the ensemble hangs.
        if isinstance(error, ServerUnavailable | DeadlineExceeded | Overloaded):
            silent_s = now - self._alive_at
            return f"no answer for {silent_s:.0f} s: {error}" if silent_s >= SILENCE_S else None
        self._errors += 1
        return str(error) if self._errors >= ERRORS else None
