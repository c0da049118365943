"""What is asked of perf_analyzer for a point: one run, or two where the first finds it unstable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loadtest.errors import ResultError
from loadtest.perf.points import Point
from loadtest.perf.process import TRIALS, UNSTABLE, Load, run
from loadtest.perf.report import read_report

_WINDOWS = 3
"""Windows that it needs to be content with anything."""

_ANY_PERCENT = 1000

_STARTS_S = 2.0
"""That it takes to start twice and read what is to be sent."""

_SHORTEST_WINDOW_S = 0.5


def measure(
    load: Load, point: Point, raw: Path, seconds: float, *, stable_percent: float = 10
) -> dict[str, Any]:
    """Measure a point.

    Args:
        load: Whom to ask, with what.
        point: How.
        raw: Folder for what perf_analyzer writes; is made.
        seconds: That it should take at most.
        stable_percent: By how much three windows in a row may differ from each other.

    Returns:
        `stable`; where it is not, perf_analyzer's own `words`; and what `read_report` returns,
        unless there was no measurement at all.

    Raises:
        ResultError: `raw` cannot be written, or is there already.
    """
    _make(raw)
    window_s = max(_SHORTEST_WINDOW_S, (seconds - _STARTS_S) / (TRIALS + _WINDOWS))
    code, words = run(load, point, raw, window_s=window_s, percent=stable_percent)
    if code == 0:
        return {"stable": True, **read_report(raw)}
    if code == UNSTABLE:
        # It keeps unstable figures to itself, unless told to be content with anything.
        code, failure = run(load, point, raw, window_s=window_s, percent=_ANY_PERCENT)
        if code == 0:
            return {"stable": False, "words": words, **read_report(raw)}
        words = failure
    return {"stable": False, "words": words}


def measure_once(
    load: Load, point: Point, raw: Path, *, window_s: float, intervals: Path | None = None
) -> dict[str, Any]:
    """Measure a point in three windows, however much they differ.

    Args:
        load: Whom to ask, with what.
        point: How.
        raw: Folder for what perf_analyzer writes; is made.
        window_s: Length of a window, in seconds.
        intervals: File of microseconds between requests, in place of `point.concurrency`.

    Returns:
        What `read_report` returns; or nothing but perf_analyzer's own `words`.

    Raises:
        ResultError: `raw` cannot be written, or is there already.
    """
    _make(raw)
    code, words = run(
        load, point, raw, window_s=window_s, percent=_ANY_PERCENT, intervals=intervals
    )
    return read_report(raw) if code == 0 else {"words": words}


def _make(raw: Path) -> None:
    try:
        raw.mkdir(parents=True)
    except OSError as error:
        raise ResultError(
            f"cannot make {raw} ({error.strerror}): name another folder with --raw"
        ) from error
