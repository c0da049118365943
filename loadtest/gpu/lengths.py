"""How long each part is measured: a machine with a GPU is lent for minutes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lengths:
    """Seconds and numbers of repetitions.

    Attributes:
        window_s: Length of a window of perf_analyzer, which takes three for each row.
        camera_window_s: The same, for each number of cameras that is tried.
        bare_window_s: Length of a window of the bare engine.
        bare_windows: Such windows for each batch size.
        stage_repeats: Calls of `preprocess` and `nms`.
    """

    window_s: float
    camera_window_s: float
    bare_window_s: float
    bare_windows: int
    stage_repeats: int


FULL = Lengths(1.5, 1.0, bare_window_s=0.4, bare_windows=5, stage_repeats=200)
QUICK = Lengths(0.5, 0.5, bare_window_s=0.2, bare_windows=3, stage_repeats=50)
