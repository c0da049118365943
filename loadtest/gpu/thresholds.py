"""What the figures of a profile come to, held against their thresholds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from loadtest.gpu.rows import CAMERA_FPS, Bar, Figures


@dataclass(frozen=True)
class Check:
    """One line of the table.

    Attributes:
        words: What is measured.
        bar: Where it has to be.
        row: That it comes from.
        value: Computes it from a profile's figures that have the row.
        asked_of: Which of the profiles that were measured the bar is for; the others tell what they
            come to.
    """

    words: str
    bar: Bar
    row: str
    value: Callable[[Figures], float]
    asked_of: Literal["all", "the fastest profile", "profiles without PyTorch"] = "all"

    @property
    def title(self) -> str:
        """What is measured, and whose bar it is."""
        whose = "" if self.asked_of == "all" else f" (the bar is for {self.asked_of})"
        return f"{self.words}{whose}"


def values(figures: Figures) -> dict[str, float]:
    """What each check comes to, by its name in `CHECKS`; those that were not measured are absent.

    Args:
        figures: Of one profile, all of one run.
    """
    measured = figures.get("rows", {})
    there = {row for row, content in measured.items() if "words" not in content}
    return {name: check.value(figures) for name, check in CHECKS.items() if check.row in there}


def best(figures: Figures) -> float:
    """Frames per second of the bare engine at its best batch size."""
    return float(max(one["frames_per_s"] for one in figures["bare"].values()))


def _added_ms(row: str) -> Callable[[Figures], float]:
    return lambda figures: float(
        figures["rows"][row]["latency_ms"]["p50"] - figures["bare"]["1"]["p50_ms"]
    )


def _four_in_flight(figures: Figures) -> float:
    rate: float = figures["rows"]["four_in_flight"]["frames_per_s"]
    return float(rate / figures["bare"]["1"]["frames_per_s"])


def _over_best(row: str) -> Callable[[Figures], float]:
    return lambda figures: figures["rows"][row]["frames_per_s"] / best(figures)


def _cameras_over_best(figures: Figures) -> float:
    return float(figures["rows"]["cameras"]["cameras"] / (best(figures) / CAMERA_FPS))


def _stages_us(figures: Figures) -> float:
    stages = figures["rows"]["stages"]
    return float(stages["preprocess_us"] + stages["nms_us"])


def _full_hd(by: str, words: str) -> dict[str, Check]:
    name, bar = f"full_hd_{by}", Bar("at least", 0.7)
    whole = f"1080p frames sent whole through {words}"
    return {
        name: Check(
            f"{whole}, one a request, 32 in flight: over bare", bar, name, _over_best(name)
        ),
        f"{name}_batches": Check(
            f"{whole}, 8 a request: over bare",
            bar,
            f"{name}_batches",
            _over_best(f"{name}_batches"),
        ),
    }


CHECKS: dict[str, Check] = {
    "one_stream": Check(
        "one stream, one request in flight: p50 beyond the bare engine's time for one frame",
        Bar("at most", 2.5, " ms"),
        "one_stream",
        _added_ms("one_stream"),
    ),
    "one_stream_awake": Check(
        "the same, with `yolostream serve --keep-awake`",
        Bar("at most", 2.5, " ms"),
        "one_stream_awake",
        _added_ms("one_stream_awake"),
    ),
    "four_in_flight": Check(
        "one stream, 4 in flight: frames/s over bare batch-1 rate",
        Bar("at least", 0.8),
        "four_in_flight",
        _four_in_flight,
    ),
    "streams": Check(
        "64 streams, one frame a request: frames/s over bare",
        Bar("at least", 0.85),
        "streams",
        _over_best("streams"),
    ),
    "batches": Check(
        "8 frames a request, 8 in flight: frames/s over bare",
        Bar("at least", 0.92),
        "batches",
        _over_best("batches"),
    ),
    **_full_hd("system", "shared memory"),
    **_full_hd("cuda", "CUDA shared memory"),
    "cameras_over_bare": Check(
        f"cameras at {CAMERA_FPS} fps with p99 below 33 ms: share of what the bare engine feeds",
        Bar("at least", 0.7),
        "cameras",
        _cameras_over_best,
    ),
    "cameras": Check(
        "the same, as a number",
        Bar("at least", 48, digits=0),
        "cameras",
        lambda figures: float(figures["rows"]["cameras"]["cameras"]),
        asked_of="the fastest profile",
    ),
    "stages": Check(
        "`preprocess` + `nms`, GPU time a frame at batch 16",
        Bar("at most", 60, " µs", digits=0),
        "stages",
        _stages_us,
    ),
    "memory": Check(
        "GPU memory of all processes, after the work",
        Bar("at most", 4, " GB"),
        "memory",
        lambda figures: float(figures["rows"]["memory"]["after_work_gb"]),
        asked_of="profiles without PyTorch",
    ),
}
