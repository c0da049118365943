"""How old results were lately."""

from __future__ import annotations

from collections import deque

from yolostream.pipeline.timing import Durations

SPAN_S = 60.0
_STEP_S = 5.0


class RecentAges:
    """Ages of the results of one run in the last minute, to five seconds."""

    def __init__(self) -> None:
        self._noted: deque[tuple[float, Durations]] = deque()
        self._latest = Durations()

    def note(self, now: float, total: Durations) -> None:
        """Take in the ages of all results so far.

        Args:
            now: seconds of any clock that goes evenly.
            total: all of them since the run began.
        """
        self._latest = total
        if not self._noted:
            # It began with none.
            self._noted.append((now, Durations()))
        elif now - self._noted[-1][0] >= _STEP_S:
            self._noted.append((now, total))
        while len(self._noted) > 1 and now - self._noted[1][0] >= SPAN_S:
            self._noted.popleft()

    def percentile_s(self, percent: float) -> float:
        """Seconds that `percent` % of the results did not exceed; NaN without any."""
        if not self._noted:
            return float("nan")
        return (self._latest - self._noted[0][1]).percentile_s(percent)
