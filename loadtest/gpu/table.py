"""The figures compared with their bars, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from loadtest.clips import CAMERA_FPS
from loadtest.gpu.bench import POINTS
from loadtest.gpu.measuring import frames_of
from loadtest.gpu.profiles import PROFILES
from loadtest.repository import NETWORK
from loadtest.result_file import Content
from loadtest.table import Bar, Check, Figures, table, verdicts

FASTEST, WITHOUT_PYTORCH = "the fastest profile", "profiles without PyTorch"


def best(figures: Figures) -> float:
    """Frames per second of the bare engine at its best batch size."""
    return float(max(one["frames_per_s"] for one in figures["bare"].values()))


def _check(
    title: str, bar: Bar, row: str, value: Callable[[Figures], float], whose: str = ""
) -> Check:
    """A check of a row that may not have been measured, or have failed."""

    def of_row(figures: Figures) -> float | None:
        return None if "words" in figures["rows"][row] else float(value(figures))

    return Check(title, bar, of_row, lambda figures: row in figures.get("rows", {}), whose)


def _added_ms(row: str, words: str) -> Check:
    def value(figures: Figures) -> float:
        p50_ms: float = figures["rows"][row]["latency_ms"]["p50"]
        return p50_ms - float(figures["bare"]["1"]["p50_ms"])

    return _check(words, Bar("at most", 2.5, " ms"), row, value)


def _over_best(row: str, words: str, bar: float) -> Check:
    def value(figures: Figures) -> float:
        return float(figures["rows"][row]["frames_per_s"]) / best(figures)

    return _check(words, Bar("at least", bar), row, value)


def _four_in_flight(figures: Figures) -> float:
    rate: float = figures["rows"]["four_in_flight"]["frames_per_s"]
    return rate / float(figures["bare"]["1"]["frames_per_s"])


def _stages_us(figures: Figures) -> float:
    stages = figures["rows"]["stages"]
    return float(stages["preprocess_us"] + stages["nms_us"])


def _cameras(figures: Figures) -> float:
    return float(figures["rows"]["cameras"]["cameras"])


_WHOLE = "1080p frames sent whole through {by}, {how}: over bare"
_HOW = {"": "one a request, 32 in flight", "_batches": "8 a request"}
_BY = {"system": "shared memory", "cuda": "CUDA shared memory"}

CHECKS: dict[str, Check] = {
    "one_stream": _added_ms(
        "one_stream",
        "one stream, one request in flight: p50 beyond the bare engine's time for one frame",
    ),
    "one_stream_awake": _added_ms(
        "one_stream_awake", "the same, with `yolostream serve --keep-awake`"
    ),
    "four_in_flight": _check(
        "one stream, 4 in flight: frames/s over bare batch-1 rate",
        Bar("at least", 0.8),
        "four_in_flight",
        _four_in_flight,
    ),
    "streams": _over_best("streams", "64 streams, one frame a request: frames/s over bare", 0.85),
    "batches": _over_best("batches", "8 frames a request, 8 in flight: frames/s over bare", 0.92),
    **{
        f"full_hd_{by}{batches}": _over_best(
            f"full_hd_{by}{batches}", _WHOLE.format(by=words, how=how), 0.7
        )
        for by, words in _BY.items()
        for batches, how in _HOW.items()
    },
    "cameras_over_bare": _check(
        f"cameras at {CAMERA_FPS} fps with p99 below 33 ms: share of what the bare engine feeds",
        Bar("at least", 0.7),
        "cameras",
        lambda figures: _cameras(figures) / (best(figures) / CAMERA_FPS),
    ),
    "cameras": _check(
        "the same, as a number", Bar("at least", 48, digits=0), "cameras", _cameras, FASTEST
    ),
    "stages": _check(
        "`preprocess` + `nms`, GPU time a frame at batch 16",
        Bar("at most", 60, " µs", digits=0),
        "stages",
        _stages_us,
    ),
    "memory": _check(
        "GPU memory of all processes, after the work",
        Bar("at most", 4, " GB"),
        "memory",
        lambda figures: figures["rows"]["memory"]["after_work_gb"],
        WITHOUT_PYTORCH,
    ),
}


def section(content: Content) -> str:
    """A row for each bar; a bar applies only to profiles on a GPU."""
    profiles: Mapping[str, Figures] = {
        name: figures
        for name, figures in content["figures"]["profiles"].items()
        if "bare" in figures
    }

    def binds(check: Check, name: str) -> bool:
        if check.whose == FASTEST and best(profiles[name]) < max(map(best, profiles.values())):
            return False
        if check.whose == WITHOUT_PYTORCH and PROFILES[name].runtime == "torch":
            return False
        return PROFILES[name].on_gpu

    rows = verdicts(CHECKS.values(), profiles, binds=binds)
    rates = [f"{best(figures):,.0f} frames/s" for figures in profiles.values()]
    ones = [f"{figures['bare']['1']['p50_ms']:.2f} ms" for figures in profiles.values()]
    rows.append(["the bare engine at its best batch", "", *rates])
    rows.append(["its time for one frame", "", *ones])
    return table(["", "bar", *(f"`{name}`" for name in profiles)], rows)


def times(content: Content) -> str:
    """The time of a request by row and step, as Triton reported it to perf_analyzer."""
    rows = [
        [f"`{name}`, {row}", *_times(measured)]
        for name, figures in content["figures"]["profiles"].items()
        for row in POINTS
        # A measurement that ended too soon has no figures of its steps.
        if (measured := figures.get("rows", {}).get(row, {})).get("stages")
    ]
    header = ["ms of a request: waiting + working", "p50", "preprocess", "network", "nms"]
    return table([*header, "its batch"], rows)


def _times(measured: dict[str, Any]) -> list[str]:
    sizes = measured["watched"]["batch_sizes"]
    steps = [_step(measured["stages"].get(name)) for name in sizes]
    runs = sum(sizes[NETWORK].values())
    mean_size = f"{frames_of(sizes[NETWORK]) / runs:.1f}" if runs else ""
    return [f"{measured['latency_ms']['p50']:.1f}", *steps, mean_size]


def _step(step: dict[str, float] | None) -> str:
    if step is None:
        return ""
    works = sum(value for part, value in step.items() if part != "queue")
    return f"{step['queue']:.1f} + {works:.1f}"
