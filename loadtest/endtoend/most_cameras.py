"""How many sources at the pace of cameras hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from loadtest.endtoend.plan import WARM_UP_S
from loadtest.gpu.rows import CAMERA_FPS

AGE_P99_MS = 100.0
"""From decoding a frame until its row is written."""

_PACE = 0.97
"""Share of the cameras' rate that has to be seen; the rest is lost at the edges of what is seen."""

_FINENESS = 8
"""The edge is known to an eighth of the number found."""


def breaks(run: dict[str, Any]) -> str:
    """Why the cameras of a run do not hold; nothing where they do.

    Args:
        run: As `Client.measure` returns it.
    """
    if "error" in run:
        return str(run["error"])
    if left_out := run["dropped"] + run["lost"]:
        return f"{left_out} frames left out"
    counted = run["frames_each"] - round(WARM_UP_S * CAMERA_FPS)
    if (missing := run["sources"] * counted - run["frames"]) > 0:
        return f"{missing} frames missing"
    pace = run["frames_per_s"] / (run["sources"] * CAMERA_FPS)
    if pace < _PACE:
        return f"{pace * CAMERA_FPS:.1f} frames/s each"
    age_ms = run["age_ms"]["p99"]
    return f"p99 age {age_ms:.0f} ms" if age_ms > AGE_P99_MS else ""


def most(holds: Callable[[int], bool], numbers: Sequence[int]) -> int:
    """Search for the most sources that hold: among some numbers, and then between two of them.

    Args:
        holds: Measures so many.
        numbers: To try; more than the largest are not tried.

    Returns:
        The number found; 0 where none holds.
    """
    left = sorted(set(numbers))
    low, high = 0, left[-1] + 1
    while left:
        middle = left[len(left) // 2]
        if holds(middle):
            low = middle
        else:
            high = middle
        left = [number for number in left if low < number < high]
    while high <= max(numbers) and high - low > max(1, low // _FINENESS):
        middle = (low + high) // 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low
