"""When pictures were taken: what the source says or, where that makes no sense, what is likely."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from statistics import median_low

LONGEST_GAP_S = 60.0
"""Between two pictures of a file: a slide, a still screen or a pause lasts so long. What is longer
was cut out, or is a clock that was set. (FFmpeg takes 10 s for a cut of a stream, and 30 h for an
error in a file.)"""

LONGEST_GAP_STEPS = 10
"""The same in usual steps, where that is longer: who films a picture a minute may miss some."""

MAX_LEAP_S = 10.0
"""A live source's clock that runs ahead of ours by more, from one picture to the next, was set."""

MAX_DISORDER = 8
"""Pictures whose times may come out of order, as of a container that has lost the times to show
them and names those to decode them. What is behind by more steps, or for longer, was set back."""

SHORTEST_STEP_S = 0.001
"""Of the fastest cameras; what is sooner than that has no time of its own."""

_REMEMBERED = 9


class Timeline:
    """Gives the pictures of one session their times, in order and with sane steps.

    One rule holds for all sources. A picture has the time that the source says, shifted by an
    offset that is zero at first. Where the source's clock was set (it leaps, steps back or wraps)
    the offset changes, so that the picture comes one likely step after the last one, and what
    follows keeps its steps. A picture without a time of its own, or out of order, comes a likely
    step after the last one too, but the offset stays: a disorder makes nothing late.

    The likely step is the time that has passed, of a live source; else the usual step, which is
    the median of the last ones.

    Args:
        time_base: seconds of one unit of all times.
        frame_rate: pictures a second, until there are steps to go by.
    """

    def __init__(self, time_base: Fraction, frame_rate: Fraction) -> None:
        self.time_base = time_base
        self._steps = deque([self._units(1 / frame_rate)], maxlen=_REMEMBERED)
        self._longest_gap = self._units(LONGEST_GAP_S)
        self._shortest_step = self._units(SHORTEST_STEP_S)
        self._offset: int | None = None
        self._time: int | None = None
        self._said: int | None = None
        self._arrived_s = 0.0
        self._behind = 0

    def place(self, said: int | None, arrived_s: float | None = None) -> int:
        """The time of the next picture, in units of `time_base`, later than all before.

        Args:
            said: what the source says; None where it says nothing.
            arrived_s: when it came, of a live source, on a clock that nobody sets. Pictures may
                come late, all at once, but not from the future.
        """
        if self._time is None:
            self._time = said or 0
            self._offset = None if said is None else 0
        else:
            self._time += self._step(said, arrived_s)
        self._said = self._said if said is None else said
        self._arrived_s = arrived_s or 0.0
        return self._time

    def _step(self, said: int | None, arrived_s: float | None) -> int:
        assert self._time is not None
        usual = median_low(self._steps)
        likely = usual
        longest = max(self._longest_gap, LONGEST_GAP_STEPS * usual)
        if arrived_s is not None:
            passed_s = arrived_s - self._arrived_s
            likely = max(self._units(passed_s), usual // 2, 1)
            longest = self._units(passed_s + MAX_LEAP_S)
        shortest = min(self._shortest_step, max(1, usual // 2))
        own = usual if said is None or self._said is None else said - self._said
        if said is None or 0 <= own < shortest:
            return likely
        step = 0 if self._offset is None else said + self._offset - self._time
        if self._offset is None or not -MAX_DISORDER * usual <= step <= longest:
            return self._set(said, likely)
        # Less than half a usual step only where the source says so.
        if step >= max(shortest, min(usual // 2, own)):
            self._behind = 0
            self._steps.append(step)
            return step
        self._behind += 1
        if self._behind > MAX_DISORDER:
            return self._set(said, likely)
        # One that is a little late is waited for by shorter steps.
        return likely if step <= -usual else max(1, likely // 2)

    def _set(self, said: int, step: int) -> int:
        """The source's clock was set: from now on its times are shifted to go on from here."""
        assert self._time is not None
        self._offset = self._time + step - said
        self._behind = 0
        return step

    def _units(self, seconds: float | Fraction) -> int:
        return max(1, round(seconds / self.time_base))
