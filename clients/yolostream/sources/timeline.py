"""Presentation times of pictures: the source's own or, where they are implausible, estimates."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from statistics import median_low

LONGEST_GAP_S = 60.0
"""Longest plausible time between two pictures of a file, such as slides. A longer gap is a cut, or
the source's clock was set. (FFmpeg's limits are 10 s for streams and 30 h for files.)"""

LONGEST_GAP_STEPS = 10
"""The same limit in usual steps; the longer one holds. A time-lapse may lack some pictures."""

MAX_LEAP_S = 10.0
"""If a live source's clock gains more than this on ours between two pictures, it was set."""

MAX_DISORDER = 8
"""Number of consecutive pictures whose times may be out of order, as in a container that has only
decoding times. If times are behind by more steps, or for more pictures, the clock was set."""

SHORTEST_STEP_S = 0.001
"""Step of the fastest cameras. A picture that follows sooner counts as one without a time."""

_REMEMBERED = 9


class Timeline:
    """Assigns presentation times to the pictures of one session: increasing, in plausible steps.

    One rule holds for all sources. A picture's time is the source's time plus an offset, which is
    zero at first. If the source's clock was set (its time leaps, steps back or wraps), the offset
    changes so that the picture follows the last one by one likely step; later pictures keep their
    steps. A picture without a time, or with one that is out of order, also follows the last one by
    a likely step, but the offset stays the same, so that later pictures are not delayed.

    The likely step of a live source is the time that has passed since the last picture. That of a
    file is the usual step: the median of the last steps.

    Args:
        time_base: seconds per unit of all times.
        frame_rate: pictures per second, which gives the usual step at the start.
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
        """The time of the next picture, in units of `time_base`; it is later than all before.

        Args:
            said: the source's time in the same units; None if it gives none.
            arrived_s: for a live source, when the picture arrived, in seconds of a monotonic clock.
                Pictures may arrive late, and several at once, but never early.
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
        # A step below half of the usual one is taken only if the source's own times have it.
        if step >= max(shortest, min(usual // 2, own)):
            self._behind = 0
            self._steps.append(step)
            return step
        self._behind += 1
        if self._behind > MAX_DISORDER:
            return self._set(said, likely)
        # If the source's time is a little behind, shorter steps let it catch up.
        return likely if step <= -usual else max(1, likely // 2)

    def _set(self, said: int, step: int) -> int:
        """Shift the source's times from now on, because its clock was set; return the step."""
        assert self._time is not None
        self._offset = self._time + step - said
        self._behind = 0
        return step

    def _units(self, seconds: float | Fraction) -> int:
        return max(1, round(seconds / self.time_base))
