"""Reduces the frame rate of a video."""

from __future__ import annotations

from collections.abc import Callable

_WEIGHT = 0.1
"""Weight of the newest interval in the moving average of intervals."""


class Pace:
    """Takes pictures at even intervals, by their timestamps, up to a number per second.

    The picture nearest to each due time is taken. So a camera whose rate is the wanted one loses
    no picture, although its timestamps jitter.

    Args:
        most_per_second: the wanted rate; called for each picture, because it may change. Infinity
            takes all.
    """

    def __init__(self, most_per_second: Callable[[], float]) -> None:
        self._most_per_second = most_per_second
        self._due_s = float("-inf")
        self._last_s: float | None = None
        # Between two incoming pictures.
        self._mean_step_s = 0.0

    def takes(self, seconds: float) -> bool:
        """Whether the picture with this timestamp is taken; timestamps must increase."""
        wanted_step_s = 1 / self._most_per_second()
        if self._last_s is not None:
            step_s = min(seconds - self._last_s, wanted_step_s)
            self._mean_step_s += _WEIGHT * (step_s - self._mean_step_s)
        self._last_s = seconds
        # Start anew where the due time is far behind (after a pause) or far ahead (after the
        # wanted rate was raised).
        if not -wanted_step_s <= self._due_s - seconds <= 1.5 * wanted_step_s:
            self._due_s = seconds
        if seconds < self._due_s - self._mean_step_s / 2:
            return False
        self._due_s += wanted_step_s
        return True
