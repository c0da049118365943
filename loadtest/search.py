"""The most of something that holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable


def most(
    holds: Callable[[int], bool],
    numbers: Iterable[int],
    *,
    edge: float = 0.0,
    climb: bool = False,
    twice: bool = False,
) -> int:
    """Search for the most that hold: among some numbers, and then between two of them.

    Args:
        holds: Measures so many.
        numbers: To try; more than the largest are not tried.
        edge: The search ends where the edge is known to this share of the number found.
        climb: Whether the smallest numbers come first, in place of those in the middle.
        twice: Whether the number found has to hold a second time, as a lucky one does not.

    Returns:
        The number found; 0 where none holds.
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
