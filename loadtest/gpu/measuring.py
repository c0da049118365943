"""All rows of one profile: the bare engine first, then a server of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from yolostream.server import embedded
from yolostream.server.cores import busy_poll_cores

from loadtest.gpu import cameras, client, engine, nvidia_smi
from loadtest.gpu.bench import Bench, say
from loadtest.gpu.model_folders import ENSEMBLE, STEPS
from loadtest.gpu.profiles import Profile
from loadtest.gpu.rows import AWAKE_ROWS, CAMERA_FPS, FULL_HD, POINTS
from loadtest.gpu.watch import watched
from loadtest.machine import machine
from loadtest.perf import inputs
from loadtest.perf.points import DOWNSCALED, Point, Size
from loadtest.perf.process import Load
from loadtest.perf.process import measure as measure_point
from loadtest.search import most
from loadtest.server import Target, served
from loadtest.table import Figures


def measure(bench: Bench, profile: Profile, rows: Sequence[str], *, figures: Figures) -> None:
    """Measure rows of `loadtest.gpu.rows.ROWS` for a profile.

    Each is added to `figures` when it is done: `bare`, and `rows` by name.

    Raises:
        YolostreamError: The engine, the server or perf_analyzer fails.
    """
    figures["bare"] = engine.bare(bench.environment, bench.repository, profile, bench.lengths)
    rates = {size: one["frames_per_s"] for size, one in figures["bare"].items()}
    say(f"{profile.name}, the bare engine's frames/s by batch size: {rates}")
    measured = figures.setdefault("rows", {})

    def add(row: str, value: Any) -> None:
        measured[row] = value
        say(f"{profile.name}, {row}: {value}")

    if "stages" in rows:
        add(
            "stages",
            engine.stages(
                bench.environment,
                bench.repository,
                candidates=bench.network.usual_candidates,
                repeats=bench.lengths.stage_repeats,
            ),
        )
    empty_gb = nvidia_smi.settled_gb() if "memory" in rows else 0.0
    with serving(bench, profile.name) as target:
        figures["triton"] = machine(target.url)["triton"]
        loaded_gb = nvidia_smi.used_gb() if "memory" in rows else 0.0
        _measure_points(bench, profile.name, target, rows, measured)
        if "memory" in rows:
            used_gb = {"loaded_gb": loaded_gb, "after_work_gb": nvidia_smi.used_gb()}
            add("memory", {name: round(gb - empty_gb, 3) for name, gb in used_gb.items()})
        if "client" in rows:
            # Last: it takes memory on the GPU itself, and keeps it.
            frames, window_s = inputs.frames(FULL_HD), bench.lengths.window_s
            add("client", client.measure(target.url, ENSEMBLE, frames, window_s=window_s))


def serving(bench: Bench, profile: str) -> contextlib.AbstractContextManager[Target]:
    """Serve the repository of a bench with a profile until the block ends.

    Raises:
        ServerStartError: It does not start.
    """
    return served(
        None,
        model=ENSEMBLE,
        # The command line takes any name that the repository has a configuration for.
        profile=cast(embedded.Profile, profile),
        repository=bench.repository,
        environment=bench.environment,
    )


def measure_watched(
    bench: Bench, target: Target, load: Load, point: Point, raw: Path
) -> dict[str, Any]:
    """Measure a point with perf_analyzer, and watch the server meanwhile.

    Returns:
        What `loadtest.perf.process.measure` returns, and `watched`, what `watched` saw.

    Raises:
        ResultError: `raw`, for what perf_analyzer writes, cannot be made.
        ServerError: The server is away.
    """
    with watched(target, STEPS) as seen:
        measured = measure_point(load, point, raw, window_s=bench.lengths.window_s)
    return {**measured, "watched": seen}


def measure_row(
    bench: Bench, name: str, target: Target, load_of: Callable[[Size], Load], row: str
) -> dict[str, Any]:
    """Measure one row of `POINTS`, as `measure_watched` does; `name` is for people and files."""
    point, raw = POINTS[row], bench.raw / name / row
    with busy_poll_cores() if row in AWAKE_ROWS else contextlib.nullcontext():
        measured = measure_watched(bench, target, load_of(point.size), point, raw)
    say(f"{name}, {row}: {line(measured)}")
    return measured


def _measure_points(
    bench: Bench, name: str, target: Target, rows: Sequence[str], measured: dict[str, Any]
) -> None:
    """Measure the rows that perf_analyzer asks for, and add each to `measured`."""
    load_of = inputs.loads(bench.perf, target.url, ENSEMBLE, bench.work)
    for row in [row for row in POINTS if row in rows]:
        measured[row] = measure_row(bench, name, target, load_of, row)
    if "cameras" in rows:
        rates = [row["frames_per_s"] for row in measured.values() if "frames_per_s" in row]
        most_frames_per_s = max(rates, default=256.0 * CAMERA_FPS)
        measured["cameras"] = _cameras(bench, name, load_of(DOWNSCALED), most_frames_per_s)


def _cameras(bench: Bench, name: str, load: Load, most_frames_per_s: float) -> dict[str, Any]:
    """Search for the most cameras, and keep every step of the search."""
    steps: list[dict[str, Any]] = []
    # Of the point, all but the concurrency counts.
    point = Point(ENSEMBLE, "system", 1)

    def holds(count: int) -> bool:
        path = bench.work / f"{count}-cameras.txt"
        path.write_text("".join(f"{interval}\n" for interval in cameras.intervals_us(count)))
        raw = bench.raw / name / f"cameras-{count}-try-{len(steps)}"
        window_s = bench.lengths.camera_window_s
        measured = measure_point(load, point, raw, window_s=window_s, intervals=path)
        held = cameras.held(count, measured)
        steps.append({"cameras": count, "held": held, **measured})
        say(f"{name}, {count} cameras: {line(measured)}: {'hold' if held else 'break'}")
        return held

    # More than the server answers without a bound cannot hold.
    numbers = range(1, int(most_frames_per_s / CAMERA_FPS) + 2)
    return {"cameras": most(holds, numbers, twice=True), "steps": steps}


def line(measured: dict[str, Any]) -> str:
    """What `measure_point` returned, for people."""
    if "frames_per_s" not in measured:
        return str(measured["words"])
    latency = measured["latency_ms"]
    return (
        f"{measured['frames_per_s']:.1f} frames/s, p50 {latency['p50']:.2f} ms, "
        f"p99 {latency['p99']:.2f} ms"
    )
