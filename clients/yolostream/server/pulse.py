"""Whether an ensemble lives: when to ask it for a frame, and what its answer says.

It is asked under load too: a server whose step is one answer behind answers everybody.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from yolostream.client.triton_errors import is_about_a_dead_step
from yolostream.errors import DeadlineExceeded, Overloaded, ServerUnavailable, YolostreamError

INTERVAL_S = 10.0
"""Between questions."""
URGENT_S = 1.0
"""The same, while frames of others fail."""
SHARE = 0.05
"""Most of the server's time that the questions may take."""

ERRORS = 3
"""So many failures in a row are a fault."""
SILENCE_S = 30.0
"""Without any answer, to anybody, for so long an ensemble hangs. A batch of a large network takes
seconds on a CPU."""


class Counts(NamedTuple):
    """Requests of whomever, by what became of them."""

    answered: int
    failed: int


class Pulse:
    """What is known of one ensemble.

    Args:
        now: seconds of a clock, as in all methods.
    """

    def __init__(self, now: float) -> None:
        self._counted: Counts | None = None
        self._alive_at = now
        self._asked_at = -math.inf
        self._took_s = 0.0
        self._errors = 0

    def is_due(self, now: float, counted: Counts | None) -> bool:
        """Whether to ask it for a frame.

        Args:
            now: the time.
            counted: what the server says that it has done since it was started; None where it does
                not say.
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
        """It has answered."""
        self._asked_at = self._alive_at = now
        self._took_s = now - asked_at
        self._errors = 0

    def fault_after(
        self, error: YolostreamError, now: float, *, others_are_answered: bool
    ) -> str | None:
        """What is wrong with the server; None if it is alive, or may be.

        Args:
            error: how the question ended.
            now: the time.
            others_are_answered: whether it has answered somebody else meanwhile.
        """
        self._asked_at = now
        if others_are_answered:
            self._alive_at = now
        if is_about_a_dead_step(error):
            # Others' late answers may be taken for those of the next frames: all of it is sick.
            return str(error)
        # A queue is full under load, and also where nobody empties it.
        if isinstance(error, ServerUnavailable | DeadlineExceeded | Overloaded):
            silent_s = now - self._alive_at
            return f"no answer for {silent_s:.0f} s: {error}" if silent_s >= SILENCE_S else None
        self._errors += 1
        return str(error) if self._errors >= ERRORS else None
