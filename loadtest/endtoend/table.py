"""The figures in Markdown."""

from __future__ import annotations

from typing import Any

from loadtest.endtoend.bars import Figures, asked, over_own_rate, values
from loadtest.gpu import table
from loadtest.gpu.profiles import PROFILES
from loadtest.gpu.rows import Bar

_KINDS = {
    "all_out": "as fast as they go",
    "all_objects": "the same, every object",
    "cameras": "at 30 fps",
    "annotated": "into annotated MP4s",
}


def section(content: dict[str, Any], *, path: str) -> str:
    """What the README says of a run.

    Args:
        content: Of the file that `loadtest.endtoend` wrote.
        path: Of that file, for a link.
    """
    figures = content["figures"]
    parts = [verdicts(figures), runs(figures), _facts(figures), table.caption(content, path=path)]
    return "\n\n".join(parts) + "\n"


def verdicts(figures: Figures) -> str:
    """A line a bar, of what was to be measured; a bar binds only where there is a GPU.

    Args:
        figures: As `loadtest.endtoend` collects them.
    """
    binds = PROFILES[figures["profile"]].on_gpu
    found = values(figures)
    lines = [f"| | bar | `{figures['profile']}` |", "| --- | ---: | ---: |"]
    lines += [
        f"| {check.title} | {check.bar} | {_cell(check.bar, found.get(name), binds=binds)} |"
        for name, check in asked(figures).items()
    ]
    if "own_rate" in figures:
        own = figures["own_rate"]
        rates = " and ".join(f"{own[part]['frames_per_s']:,.0f}" for part in ("first", "last"))
        lines.append(
            f"| what the server answers by itself, first and last, asked by {own['asked_by']} | "
            f"| {rates} frames/s |"
        )
    if "peer" in figures:
        lines.append(_peer(figures["peer"]))
    return "\n".join(lines)


def _peer(peer: dict[str, Any]) -> str:
    """What the peer was, and its rates."""
    runs = peer["runs"]
    rates = " and ".join(
        f"{run['frames_per_s']:,.1f}" if "frames_per_s" in run else "**failed**"
        for run in runs.values()
    )
    if peer["objects_per_frame"] is None:
        return f"| the peer, Ultralytics YOLOv8m | | {rates} |"
    precision = "half" if peer["half"] else "single"
    return (
        f"| the peer, Ultralytics {peer['version']}: YOLOv8m of random weights at {peer['input']}, "
        f"{precision} precision, ByteTrack, OpenCV, {peer['objects_per_frame']:.0f} objects a "
        f"frame; {' and '.join(runs)} sources | | {rates} frames/s |"
    )


def _cell(bar: Bar, value: float | None, *, binds: bool) -> str:
    # What was tried and failed is not left out.
    if value is None:
        return "**failed**"
    if not binds:
        return bar.said(value)
    return f"{bar.said(value)}, met" if bar.met(value) else f"**{bar.said(value)}, missed**"


def runs(figures: Figures) -> str:
    """A line a run.

    Args:
        figures: As `loadtest.endtoend` collects them.
    """
    lines = [
        "| sources | decoder | processes | objects a frame | frames/s | over the server's own | "
        "CPU ms a frame: client, tritonserver, its steps | memory | age p50 | p99 | "
        "p99 of the worst source |",
        f"| --- |{' ---: |' * 10}",
    ]
    lines += [_run(figures, run) for run in figures.get("runs", {}).values()]
    return "\n".join(lines)


def _run(figures: Figures, run: dict[str, Any]) -> str:
    told = f"| {run['sources']} {_KINDS[run['kind']]} | {run['decoder'].upper()} |"
    if "error" in run:
        return f"{told}{' |' * 2} **failed** |{' |' * 6}"
    ratio = over_own_rate(figures, run)
    frames = f"{run['frames_per_s']:,.1f}"
    if left_out := run["dropped"] + run["lost"]:
        frames += f", {left_out:,} left out"
    triton, steps = _server_cpu_ms(run["server_cpu_ms"])
    cells = [
        str(run["worker_count"]),
        f"{run['objects_per_frame']:.0f}",
        frames,
        "" if ratio is None else f"{ratio:.2f}",
        f"{run['client_cpu_ms']:.1f}, {triton:.1f}, {steps:.1f}",
        f"{run['memory_mb']:,.0f} MB",
        *(_milliseconds(run["age_ms"].get(name)) for name in ("p50", "p99", "worst_p99")),
    ]
    return f"{told} {' | '.join(cells)} |"


def _server_cpu_ms(spent: dict[str, float]) -> tuple[float, float]:
    """Of tritonserver itself, and of its steps' processes together."""
    triton = spent.get("tritonserver", 0.0)
    return triton, sum(spent.values()) - triton


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} ms"


def _facts(figures: Figures) -> str:
    """What was read, what counted as an object, and what the columns are."""
    objects = figures["objects"]
    left = (
        f"Objects below a confidence of {objects['confidence']:.4f} were left out, so that a frame "
        f"has about {objects['wanted']} of {objects['all']:.0f}, but where it says every object. "
        if objects["confidence"]
        else ""
    )
    return (
        f"Read was {figures['material']}. {left}Frames/s and the client's processor time are those "
        f"in the middle of a run of {figures['seconds']:g} s; memory is the most. Ages, and frames "
        f"left out, of cameras count from {figures['warm_up_s']:g} s on: until then they are "
        "opened. A frame's age is the time from decoding it until its row or picture was written."
    )
