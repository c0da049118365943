"""Which pictures of a video are taken where fewer are wanted than come."""

from __future__ import annotations

from collections.abc import Callable

_WEIGHT = 0.1
"""Of the newest step in the mean one."""


class Pace:
    """Takes pictures evenly, by their times, and no more a second than wanted.

    The picture that comes nearest to its turn is taken: a camera that gives just as many as are
    wanted loses none, though its times tremble.

    Args:
        most_per_second: asked each time, as it may change; infinity takes all.
    """

    def __init__(self, most_per_second: Callable[[], float]) -> None:
        self._most_per_second = most_per_second
        self._due_s = float("-inf")
        self._last_s: float | None = None
        # Between two pictures that come.
        self._mean_step_s = 0.0

    def takes(self, seconds: float) -> bool:
        """Whether the picture of this time is taken; times only grow."""
        wanted_step_s = 1 / self._most_per_second()
        if self._last_s is not None:
            step_s = min(seconds - self._last_s, wanted_step_s)
            self._mean_step_s += _WEIGHT * (step_s - self._mean_step_s)
        self._last_s = seconds
        # It may be far behind, after a pause, or ahead, where fewer were wanted until now.
        if not -wanted_step_s <= self._due_s - seconds <= 1.5 * wanted_step_s:
            self._due_s = seconds
        if seconds < self._due_s - self._mean_step_s / 2:
            return False
        self._due_s += wanted_step_s
        return True
