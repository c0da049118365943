"""The ages of results in the last minute."""

from __future__ import annotations

from collections import deque

from yolostream.pipeline.timing import Durations

SPAN_S = 60.0
_STEP_S = 5.0


class RecentAges:
    """Ages of the results of one run in the last minute, with a resolution of 5 s."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, Durations]] = deque()
        self._latest = Durations()

    def note(self, now: float, total: Durations) -> None:
        """Add a sample.

        Args:
            now: time in seconds of a monotonic clock.
            total: ages of all results since the run began.
        """
        self._latest = total
        if not self._samples:
            # A run begins without results, so all of its first report is recent.
            self._samples.append((now, Durations()))
        elif now - self._samples[-1][0] >= _STEP_S:
            self._samples.append((now, total))
        while len(self._samples) > 1 and now - self._samples[1][0] >= SPAN_S:
            self._samples.popleft()

    def percentile_s(self, percent: float) -> float:
        """Age in seconds that `percent` % of the results did not exceed; NaN without results."""
        if not self._samples:
            return float("nan")
        return (self._latest - self._samples[0][1]).percentile_s(percent)
