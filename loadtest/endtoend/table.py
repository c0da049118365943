"""The figures compared with their bars, and a row for every run, in Markdown."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from loadtest.clips import CAMERA_FPS
from loadtest.endtoend.plan import BOUND
from loadtest.result_file import Content
from loadtest.table import Bar, Check, Figures, listed, table, verdicts

_BASE_MB = 250.0
"""Memory of the client that does not depend on the number of sources."""

_KINDS = {
    "all_out": "as fast as they go",
    "all_objects": "the same, every object",
    "cameras": "at 30 fps",
    "annotated": "into annotated MP4s",
}


def _runs(figures: Figures, kind: str) -> list[Figures]:
    """The runs of a kind with the faster decoder that did not fail."""
    return [
        run
        for run in figures["runs"].values()
        if run["kind"] == kind and run["decoder"] == figures["decoders"][0] and "error" not in run
    ]


def _fastest(figures: Figures) -> Figures:
    """The fastest run with files as fast as possible; nothing if all failed."""
    return max(_runs(figures, "all_out"), key=lambda run: float(run["frames_per_s"]), default={})


def _over_own_rate(figures: Figures, run: Figures) -> float:
    return float(run["frames_per_s"] / figures["own_rate"]["frames_per_s"])


def _annotated(sources: int, figures: Figures) -> float | None:
    """Frames per second of each of so many videos."""
    runs = [run for run in _runs(figures, "annotated") if run["sources"] == sources]
    return max((run["frames_per_s"] / sources for run in runs), default=None)


def _memory_mb(figures: Figures) -> float | None:
    """Memory of each of the most sources."""
    usual = [run for run in _runs(figures, "all_out") if run["workers"] is None]
    largest = max(usual, key=lambda run: int(run["sources"]), default={"memory_mb": 0})
    if not largest["memory_mb"]:
        return None
    return max(0.0, float(largest["memory_mb"]) - _BASE_MB) / int(largest["sources"])


CHECKS = (
    Check(
        "files as fast as they go, tracked, into JSON Lines: frames/s over the server's own",
        Bar(at_least=0.85),
        lambda figures: _over_own_rate(figures, _fastest(figures)),
    ),
    Check(
        f"sources at {CAMERA_FPS} fps, once they are open: none of their frames left out, p99 age "
        f"of each at most {1000 * BOUND.latency_s:g} ms",
        Bar(digits=0, at_least=48),
        lambda figures: figures["cameras"]["most"],
    ),
    Check(
        "processor time of the client a frame, in the fastest of these runs",
        Bar(" ms", at_most=3),
        lambda figures: _fastest(figures)["client_cpu_ms"],
    ),
    Check(
        "one file into an annotated MP4",
        Bar(" frames/s", 0, at_least=163),
        partial(_annotated, 1),
    ),
    Check(
        "two files into annotated MP4s, each",
        Bar(" frames/s", 0, at_least=55),
        partial(_annotated, 2),
    ),
    Check(
        f"memory of the client beyond {_BASE_MB:g} MB, a source, with the most sources",
        Bar(" MB", 0, at_most=60),
        _memory_mb,
    ),
)


def section(content: Content) -> str:
    """What the page says of a file."""
    figures = content["figures"]
    return f"{judged(figures)}\n\n{runs(figures)}\n\n{_facts(figures)}"


def judged(figures: Figures) -> str:
    """A row for each bar, which applies only with a GPU, and the server's own rate."""
    profile = figures["profile"]
    rows = verdicts(CHECKS, {profile: figures}, binds=lambda *_: profile != "cpu")
    if "own_rate" in figures:
        own = figures["own_rate"]
        rates = " and ".join(f"{own[part]['frames_per_s']:,.0f}" for part in ("first", "last"))
        title = f"what the server answers by itself, first and last, asked by {own['asked_by']}"
        rows.append([title, "", f"{rates} frames/s"])
    return table(["", "bar", f"`{profile}`"], rows)


def runs(figures: Figures) -> str:
    """A row for each run."""
    columns: dict[str, Callable[[Figures], str]] = {
        "sources": lambda run: f"{run['sources']} {_KINDS[run['kind']]}",
        "decoder": lambda run: run["decoder"].upper(),
        "processes": lambda run: f"{run['worker_count']}",
        "objects a frame": lambda run: f"{run['objects_per_frame']:.0f}",
        "frames/s": _rate,
        "over the server's own": lambda run: f"{_over_own_rate(figures, run):.2f}",
        "CPU ms a frame: client, tritonserver, its steps": _spent,
        "memory": lambda run: f"{run['memory_mb']:,.0f} MB",
        "age p50": partial(_age, "p50"),
        "p99": partial(_age, "p99"),
        "p99 of the worst source": partial(_age, "worst_p99"),
    }
    return listed(columns, figures.get("runs", {}).values())


def _rate(run: Figures) -> str:
    if "error" in run:
        return "**failed**"
    left_out = run["dropped"] + run["lost"]
    return f"{run['frames_per_s']:,.1f}" + (f", {left_out:,} left out" if left_out else "")


def _spent(run: Figures) -> str:
    spent = run["server_cpu_ms"]
    triton = spent.get("tritonserver", 0.0)
    client = run["client_cpu_ms"]
    said = "?" if client is None else f"{client:.1f}"
    return f"{said}, {triton:.1f}, {sum(spent.values()) - triton:.1f}"


def _age(which: str, run: Figures) -> str:
    age_ms = run["age_ms"].get(which)
    return "" if age_ms is None else f"{age_ms:.0f} ms"


def _facts(figures: Figures) -> str:
    """The videos, the objects that counted, and an explanation of the columns."""
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
