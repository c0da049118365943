"""The figures compared with their bars, and where the time of a request goes, in Markdown."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from loadtest.clips import CAMERA_FPS
from loadtest.gpu.bench import POINTS, frames_of
from loadtest.repository import NETWORK, NMS, PREPROCESS
from loadtest.result_file import Content
from loadtest.table import Bar, Check, Figures, listed, table, verdicts

FASTEST, WITHOUT_PYTORCH = "the fastest profile", "profiles without PyTorch"


def best(figures: Figures) -> float:
    """Frames per second of the bare engine at its best batch size."""
    return float(max(one["frames_per_s"] for one in figures["bare"].values()))


def _check(
    row: str, title: str, bar: Bar, value: Callable[[Figures, Figures], Any], whose: str = ""
) -> Check:
    """A check of a row, whose figures are the second argument of `value`."""
    return Check(
        title,
        bar,
        lambda figures: float(value(figures, figures["rows"][row])),
        lambda figures: row in figures.get("rows", {}),
        whose,
    )


def _added_ms(row: str, title: str) -> Check:
    return _check(
        row,
        title,
        Bar(" ms", at_most=2.5),
        lambda figures, one: one["latency_ms"]["p50"] - figures["bare"]["1"]["p50_ms"],
    )


def _over_best(row: str, title: str, at_least: float) -> Check:
    return _check(
        row, title, Bar(at_least=at_least), lambda figures, one: one["frames_per_s"] / best(figures)
    )


CHECKS = (
    _added_ms(
        "one_stream",
        "one stream, one request in flight: p50 beyond the bare engine's time for one frame",
    ),
    _added_ms("one_stream_awake", "the same, with `yolostream serve --keep-awake`"),
    _check(
        "four_in_flight",
        "one stream, 4 in flight: frames/s over bare batch-1 rate",
        Bar(at_least=0.8),
        lambda figures, one: one["frames_per_s"] / figures["bare"]["1"]["frames_per_s"],
    ),
    _over_best("streams", "64 streams, one frame a request: frames/s over bare", 0.85),
    _over_best("batches", "8 frames a request, 8 in flight: frames/s over bare", 0.92),
    *(
        _over_best(
            f"full_hd_{by}{batches}",
            f"1080p frames sent whole through {words}, {how}: over bare",
            0.7,
        )
        for by, words in (("system", "shared memory"), ("cuda", "CUDA shared memory"))
        for batches, how in (("", "one a request, 32 in flight"), ("_batches", "8 a request"))
    ),
    _check(
        "cameras",
        f"cameras at {CAMERA_FPS} fps with p99 below 33 ms: share of what the bare engine feeds",
        Bar(at_least=0.7),
        lambda figures, one: one["cameras"] / (best(figures) / CAMERA_FPS),
    ),
    _check(
        "cameras",
        "the same, as a number",
        Bar(digits=0, at_least=48),
        lambda figures, one: one["cameras"],
        FASTEST,
    ),
    _check(
        "stages",
        "`preprocess` + `nms`, GPU time a frame at batch 16",
        Bar(" µs", 0, at_most=60),
        lambda figures, one: one["preprocess_us"] + one["nms_us"],
    ),
    _check(
        "memory",
        "GPU memory of all processes, after the work",
        Bar(" GB", at_most=4),
        lambda figures, one: one["after_work_gb"],
        WITHOUT_PYTORCH,
    ),
    Check("the bare engine at its best batch", Bar(" frames/s", 0), best),
    Check("its time for one frame", Bar(" ms"), lambda figures: figures["bare"]["1"]["p50_ms"]),
)


def section(content: Content) -> str:
    """A row for each bar; a bar applies only to profiles on a GPU."""
    measured = {
        name: {**figures, "profile": name}
        for name, figures in content["figures"]["profiles"].items()
        if "bare" in figures
    }
    fastest = max(map(best, measured.values()), default=0.0)

    def binds(check: Check, figures: Figures) -> bool:
        if check.whose == FASTEST and best(figures) < fastest:
            return False
        if check.whose == WITHOUT_PYTORCH and figures["profile"] == "torch-gpu":
            return False
        return bool(figures["profile"] != "cpu")

    rows = verdicts(CHECKS, measured, binds=binds)
    return table(["", "bar", *(f"`{name}`" for name in measured)], rows)


def times(content: Content) -> str:
    """The time of a request by row and step, as Triton reported it to perf_analyzer."""
    rows = [
        {"row": f"`{name}`, {row}", **measured}
        for name, figures in content["figures"]["profiles"].items()
        for row in POINTS
        # A measurement that ended too soon has no figures of its steps.
        if (measured := figures.get("rows", {}).get(row, {})).get("stages")
    ]
    columns: dict[str, Callable[[Figures], str]] = {
        "ms of a request: waiting + working": lambda row: str(row["row"]),
        "p50": lambda row: f"{row['latency_ms']['p50']:.1f}",
        "preprocess": partial(_step, PREPROCESS),
        "network": partial(_step, NETWORK),
        "nms": partial(_step, NMS),
        "its batch": lambda row: _mean(row["watched"]["batch_sizes"][NETWORK]),
    }
    return listed(columns, rows)


def _step(step: str, row: Figures) -> str:
    if (spent := row["stages"].get(step)) is None:
        return ""
    return f"{spent['queue']:.1f} + {sum(spent.values()) - spent['queue']:.1f}"


def _mean(batch_sizes: dict[str, int]) -> str:
    batches = sum(batch_sizes.values())
    return f"{frames_of(batch_sizes) / batches:.1f}" if batches else ""
