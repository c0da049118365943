"""The search for the largest number of cameras that hold a bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_PACE = 0.97
"""The share of the cameras' rate that must be seen; the rest can be lost at the edges of a window.
A server that really is 3% too slow is a second late after half a minute."""


@dataclass(frozen=True)
class Bound:
    """What all cameras together have to hold."""

    frames_per_second: float
    """Of each camera."""
    latency_s: float
    """For the 99th percentile of all frames."""
    left_out: float = 0.0
    """Share of the frames that may be dropped or lost, 0..1."""

    def broken_by(
        self,
        p99_ms: float | None,
        *,
        left_out: float = 0,
        frames: float = 0,
        frames_per_s_each: float | None = None,
    ) -> str:
        """Say why cameras do not hold the bound; empty if they do.

        Args:
            p99_ms: Of the frames' age; None if no frame was answered.
            left_out: Number of frames that were dropped or lost.
            frames: Number of all frames.
            frames_per_s_each: Rate of one camera, if it was measured.
        """
        if left_out > self.left_out * frames:
            return f"{left_out:g} of {frames:g} frames left out"
        if frames_per_s_each is not None and frames_per_s_each < _PACE * self.frames_per_second:
            return f"{frames_per_s_each:.1f} frames/s each"
        if p99_ms is None:
            return "no answer"
        # The comparison is false for NaN, which is no age.
        return "" if p99_ms <= 1000 * self.latency_s else f"p99 age {p99_ms:.0f} ms"


def most(
    holds: Callable[[int], bool],
    numbers: Iterable[int],
    *,
    edge: float = 0.0,
    climb: bool = False,
    twice: bool = False,
) -> int:
    """Search for the largest number that holds, first among `numbers`, then between two of them.

    Args:
        holds: Measures a number.
        numbers: The numbers to try. None above the largest is tried.
        edge: The search ends when the result is known to this share of itself.
        climb: Start with the smallest number instead of the middle one.
        twice: Whether the result has to hold a second time.

    Returns:
        The number, or 0 if none holds.
    """
    held = Counter[int]()

    def tried(number: int) -> bool:
        holds_now = holds(number)
        held[number] += holds_now
        return holds_now

    left = sorted(set(numbers))
    largest = left[-1]
    low, high = 0, largest + 1
    while left or (high <= largest and high - low > max(1, edge * low)):
        first = 0 if climb else len(left) // 2
        middle = left[first] if left else (low + high) // 2
        low, high = (middle, high) if tried(middle) else (low, middle)
        left = [number for number in left if low < number < high]
    while twice and low and held[low] < 2:
        if not tried(low):
            low -= max(1, low // 25)
    return low
