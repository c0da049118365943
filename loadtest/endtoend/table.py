"""The figures compared with their bars, and a row for every run, in Markdown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loadtest.clips import CAMERA_FPS
from loadtest.endtoend.plan import BOUND
from loadtest.gpu.profiles import PROFILES
from loadtest.result_file import Content
from loadtest.table import Bar, Check, Figures, table, verdicts

_BASE_MB = 250.0
"""Memory of the client that does not depend on the number of sources."""

_KINDS = {
    "all_out": "as fast as they go",
    "all_objects": "the same, every object",
    "cameras": "at 30 fps",
    "annotated": "into annotated MP4s",
}


def over_own_rate(figures: Figures, run: dict[str, Any]) -> float | None:
    """Frames per second of a run over the server's own rate; None without either."""
    own = figures.get("own_rate", {}).get("frames_per_s")
    return float(run["frames_per_s"] / own) if own and "frames_per_s" in run else None


def _runs(figures: Figures, kind: str) -> list[dict[str, Any]]:
    """The runs of a kind with the faster decoder that did not fail."""
    return [
        run
        for run in figures.get("runs", {}).values()
        if run["kind"] == kind and run["decoder"] == figures["decoders"][0] and "error" not in run
    ]


def _of_fastest(value: Callable[[Figures, dict[str, Any]], float | None]) -> Any:
    """A figure of the fastest run with files as fast as possible."""

    def of_fastest(figures: Figures) -> float | None:
        runs = _runs(figures, "all_out")
        fastest = max(runs, key=lambda run: float(run["frames_per_s"]), default=None)
        return None if fastest is None else value(figures, fastest)

    return of_fastest


def _annotated(sources: int) -> Callable[[Figures], float | None]:
    def each(figures: Figures) -> float | None:
        rates = [
            float(run["frames_per_s"]) / sources
            for run in _runs(figures, "annotated")
            if run["sources"] == sources
        ]
        return max(rates, default=None)

    return each


def _memory_mb(figures: Figures) -> float | None:
    usual = [run for run in _runs(figures, "all_out") if run["workers"] is None]
    largest = max(usual, key=lambda run: int(run["sources"]), default=None)
    if largest is None or not largest["memory_mb"]:
        return None
    return max(0.0, float(largest["memory_mb"]) - _BASE_MB) / int(largest["sources"])


CHECKS: dict[str, Check] = {
    "all_out": Check(
        "files as fast as they go, tracked, into JSON Lines: frames/s over the server's own",
        Bar("at least", 0.85),
        _of_fastest(over_own_rate),
    ),
    "cameras": Check(
        f"sources at {CAMERA_FPS} fps, once they are open: none of their frames left out, p99 age "
        f"of each at most {1000 * BOUND.latency_s:g} ms",
        Bar("at least", 48, digits=0),
        lambda figures: figures.get("cameras", {}).get("most"),
    ),
    "client_cpu": Check(
        "processor time of the client a frame, in the fastest of these runs",
        Bar("at most", 3, " ms"),
        _of_fastest(lambda figures, run: float(run["client_cpu_ms"])),
    ),
    "annotated_1": Check(
        "one file into an annotated MP4", Bar("at least", 163, " frames/s", digits=0), _annotated(1)
    ),
    "annotated_2": Check(
        "two files into annotated MP4s, each",
        Bar("at least", 55, " frames/s", digits=0),
        _annotated(2),
    ),
    "memory": Check(
        f"memory of the client beyond {_BASE_MB:g} MB, a source, with the most sources",
        Bar("at most", 60, " MB", digits=0),
        _memory_mb,
    ),
}


def section(content: Content) -> str:
    """What the page says of a file."""
    figures = content["figures"]
    return "\n\n".join([judged(figures), runs(figures), _facts(figures)])


def judged(figures: Figures) -> str:
    """A row for each bar of what was to be measured; a bar applies only with a GPU."""
    profile = figures["profile"]
    on_gpu = PROFILES[profile].on_gpu
    rows = verdicts(CHECKS.values(), {profile: figures}, binds=lambda *_: on_gpu)
    if "own_rate" in figures:
        own = figures["own_rate"]
        rates = " and ".join(f"{own[part]['frames_per_s']:,.0f}" for part in ("first", "last"))
        title = f"what the server answers by itself, first and last, asked by {own['asked_by']}"
        rows.append([title, "", f"{rates} frames/s"])
    return table(["", "bar", f"`{profile}`"], rows)


_COLUMNS = (
    *("sources", "decoder", "processes", "objects a frame", "frames/s", "over the server's own"),
    *("CPU ms a frame: client, tritonserver, its steps", "memory"),
    *("age p50", "p99", "p99 of the worst source"),
)


def runs(figures: Figures) -> str:
    """A row for each run."""
    return table(_COLUMNS, [_run(figures, run) for run in figures.get("runs", {}).values()])


def _run(figures: Figures, run: dict[str, Any]) -> list[str]:
    told = [f"{run['sources']} {_KINDS[run['kind']]}", run["decoder"].upper()]
    if "error" in run:
        return [*told, "", "", "**failed**", *[""] * (len(_COLUMNS) - 5)]
    ratio = over_own_rate(figures, run)
    frames = f"{run['frames_per_s']:,.1f}"
    if left_out := run["dropped"] + run["lost"]:
        frames += f", {left_out:,} left out"
    spent = run["server_cpu_ms"]
    triton = spent.get("tritonserver", 0.0)
    ages = [run["age_ms"].get(name) for name in ("p50", "p99", "worst_p99")]
    return [
        *told,
        str(run["worker_count"]),
        f"{run['objects_per_frame']:.0f}",
        frames,
        "" if ratio is None else f"{ratio:.2f}",
        f"{run['client_cpu_ms']:.1f}, {triton:.1f}, {sum(spent.values()) - triton:.1f}",
        f"{run['memory_mb']:,.0f} MB",
        *("" if age is None else f"{age:.0f} ms" for age in ages),
    ]


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
