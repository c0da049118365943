"""The server's own rate, asked by perf_analyzer: every other rate is divided by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loadtest.errors import LoadTestError
from loadtest.perf.process import Load, Point, measure
from loadtest.perf.report import line
from loadtest.repository import ENSEMBLE
from loadtest.result_file import say

ON_GPU = tuple(
    Point(ENSEMBLE, by, concurrency, batch)
    for by in ("system", "cuda")
    for concurrency, batch in ((64, 1), (8, 8))
)
ON_CPU = (Point(ENSEMBLE, "system", 8), Point(ENSEMBLE, "system", 4, 2))
"""Fewer frames in flight: the queue on a CPU holds 32 frames and rejects more."""


def own_rate(load: Load, raw: Path, *, on_gpu: bool, window_s: float) -> dict[str, Any]:
    """Measure how many frames per second the server answers.

    Returns:
        `frames_per_s` of the best point; and `points`, what was measured, by label.

    Raises:
        LoadTestError: Nothing could be measured.
    """
    measured = {}
    for point in ON_GPU if on_gpu else ON_CPU:
        measured[point.label] = measure(load, point, raw / point.label, window_s=window_s)
        say(f"the server alone, {point.label}: {line(measured[point.label])}")
    rates = [one["frames_per_s"] for one in measured.values() if "frames_per_s" in one]
    if not rates:
        raise LoadTestError(f"the server alone could not be measured: {measured}")
    return {"frames_per_s": round(max(rates), 2), "points": measured}
