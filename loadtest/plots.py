"""The report's pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

ONE_AT_A_TIME = {
    "usual": "network only: letterbox\nand NMS in the client, gRPC",
    "one_at_a_time_grpc": "ensemble, gRPC",
    "one_at_a_time": "ensemble, shared memory",
}
"""Scenarios with one frame in flight: their parts add up to a frame's time."""

_PART_NAMES = {
    "client": "client, with sending",
    "queues": "waiting for a model",
    "between": "messages and hand-overs",
}
_SIZE, _DPI = (8, 3.6), 110
TRANSPORTS = {"grpc": "gRPC", "system": "shared memory", "cuda": "CUDA shared memory"}


def draw(figures: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what the figures of a report allow.

    Returns:
        The PNG files written.
    """
    pictures: dict[str, tuple[str, Callable[[Figure, dict[str, Any]], None]]] = {
        "concurrency": ("perf_analyzer", _draw_concurrency),
        "cameras": ("capacity", _draw_cameras),
        "frame_time": ("price", _draw_frame_time),
    }
    written = []
    for name, (part, fill) in pictures.items():
        if part in figures:
            figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
            fill(figure, figures[part])
            written.append(folder / f"{name}.png")
            # Without the version, which would change the file with every new matplotlib.
            figure.savefig(written[-1], metadata={"Software": None})
    return written


def _draw_concurrency(figure: Figure, perf_analyzer: dict[str, Any]) -> None:
    throughput, latency = figure.subplots(1, 2)
    for transport, points in sweep(perf_analyzer["points"]).items():
        at = [point["concurrency"] for point in points]
        name = TRANSPORTS[transport]
        (line,) = throughput.plot(at, [p["frames_per_s"] for p in points], "o-", label=name)
        for percentile, style in (("p50", "o-"), ("p99", "o:")):
            values = [point["latency_ms"][percentile] for point in points]
            latency.plot(at, values, style, color=line.get_color(), label=f"{percentile}, {name}")
    _finish(throughput, "requests in flight", "frames/s")
    _finish(latency, "requests in flight", "latency, ms")


def _draw_cameras(figure: Figure, capacity: dict[str, Any]) -> None:
    steps = sorted(capacity["steps"], key=lambda step: step["cameras"])
    latency, lost = figure.subplots(1, 2)
    _draw_steps(latency, steps, "p50_ms", "p50")
    _draw_steps(latency, steps, "p99_ms", "p99")
    latency.axhline(capacity["bound_ms"], color="black", linestyle="--", label="bound")
    _draw_steps(lost, steps, "lost", "without an answer")
    lost.yaxis.set_major_formatter(PercentFormatter(1.0))
    _finish(latency, "cameras", "latency, ms")
    _finish(lost, "cameras", "frames")


def _draw_steps(axes: Axes, steps: list[dict[str, Any]], key: str, label: str) -> None:
    """Every try as a dot, and a line through the medians of so many cameras."""
    tries: dict[int, list[float]] = {}
    for step in steps:
        if step[key] is not None:
            tries.setdefault(step["cameras"], []).append(step[key])
    (line,) = axes.plot(list(tries), [median(values) for values in tries.values()], label=label)
    for cameras, values in tries.items():
        axes.plot([cameras] * len(values), values, "o", color=line.get_color())


def _draw_frame_time(figure: Figure, price: dict[str, Any]) -> None:
    axes = figure.subplots()
    parts_of = {
        name: price["parts_ms"][name] for name in ONE_AT_A_TIME if name in price["parts_ms"]
    }
    labels = [ONE_AT_A_TIME[name] for name in parts_of]
    left = [0.0] * len(parts_of)
    # The ensemble comes last, and has every part in the order in which a frame meets it.
    for part in dict.fromkeys(part for parts in reversed(parts_of.values()) for part in parts):
        # Two clocks can differ by more than there was between them.
        widths = [max(0.0, parts.get(part, 0.0)) for parts in parts_of.values()]
        axes.barh(labels, widths, left=left, label=_PART_NAMES.get(part, part), height=0.6)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    _finish(axes, "milliseconds of a frame, one frame at a time", "")
    axes.grid(visible=False, axis="y")
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))


def sweep(points: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The points of the ensemble that differ in concurrency alone, by transport."""
    measured = [point for point in points if "frames_per_s" in point]
    first = points[0]
    same = [p for p in measured if all(p[key] == first[key] for key in ("model", "batch", "size"))]
    return {
        transport: sorted(
            (p for p in same if p["transport"] == transport), key=lambda p: p["concurrency"]
        )
        for transport in dict.fromkeys(p["transport"] for p in same)
    }


def _finish(axes: Axes, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0 if y else None)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
