"""All rows of one profile: the bare engine first, then a server of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from yolostream.server import embedded
from yolostream.server.cores import busy_poll_cores

from loadtest.gpu import cameras, client, engine, memory, requests
from loadtest.gpu.bench import Bench, say
from loadtest.gpu.model_folders import ENSEMBLE, STEPS
from loadtest.gpu.profiles import Profile
from loadtest.gpu.rows import AWAKE_ROWS, CAMERA_FPS, FULL_HD, POINTS, Figures
from loadtest.gpu.watch import watched
from loadtest.machine import machine
from loadtest.perf.measurement import measure_once
from loadtest.perf.points import DOWNSCALED, Point, Size
from loadtest.perf.process import Load
from loadtest.server import Target, served


def measure(bench: Bench, profile: Profile, rows: Sequence[str], *, figures: Figures) -> None:
    """Measure the rows of a profile, and add each to `figures` when it is done.

    Args:
        bench: With what.
        profile: The profile.
        rows: Of `loadtest.gpu.rows.ROWS`.
        figures: Gets `bare`, and `rows` by name.

    Raises:
        YolostreamError: The engine, the server or perf_analyzer fails.
    """
    figures["bare"] = engine.bare(bench.environment, bench.repository, profile, bench.lengths)
    say(f"{profile.name}, bare: {_rates(figures['bare'])}")
    measured = figures.setdefault("rows", {})
    if "stages" in rows:
        measured["stages"] = engine.stages(
            bench.environment,
            bench.repository,
            candidates=bench.network.usual_candidates,
            repeats=bench.lengths.stage_repeats,
        )
        say(f"{profile.name}, stages: {measured['stages']}")
    empty_gb = memory.settled_gb() if "memory" in rows else 0.0
    with serving(bench, profile.name) as target:
        figures["triton"] = machine(target.url)["triton"]
        loaded_gb = memory.used_gb() if "memory" in rows else 0.0
        _ask_all(bench, profile.name, target, rows, measured)
        if "memory" in rows:
            after_gb = memory.used_gb()
            measured["memory"] = {
                "loaded_gb": round(loaded_gb - empty_gb, 3),
                "after_work_gb": round(after_gb - empty_gb, 3),
            }
            say(f"{profile.name}, memory: {measured['memory']}")
        if "client" in rows:
            # Last: it takes memory on the GPU itself, and keeps it.
            measured["client"] = client.measure(
                target.url, ENSEMBLE, requests.frames(FULL_HD), window_s=bench.lengths.window_s
            )
            say(f"{profile.name}, client: {measured['client']}")


def serving(
    bench: Bench, profile: str, *, share_gpu: bool = True, options: Sequence[str] = ()
) -> contextlib.AbstractContextManager[Target]:
    """Serve the repository of a bench until the block ends.

    Args:
        bench: With what.
        profile: Name of the profile.
        share_gpu: Whether the server's processes may compute at once on a GPU.
        options: Further ones of tritonserver.

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
        share_gpu=share_gpu,
        options=options,
    )


def ask(
    bench: Bench, name: str, target: Target, load_of: Callable[[Size], Load], row: str
) -> dict[str, Any]:
    """Measure one row of `POINTS`.

    Args:
        bench: With what.
        name: Of the profile or variant, for people and files.
        target: The server.
        load_of: What to send, by size.
        row: Name of the row.

    Returns:
        As `measure_watched`.

    Raises:
        ResultError: The folder for what perf_analyzer writes cannot be made.
        ServerError: The server is away.
    """
    point, raw = POINTS[row], bench.raw / name / row
    with busy_poll_cores() if row in AWAKE_ROWS else contextlib.nullcontext():
        measured = measure_watched(bench, target, load_of(point.size), point, raw)
    say(f"{name}, {row}: {line(measured)}")
    return measured


def measure_watched(
    bench: Bench, target: Target, load: Load, point: Point, raw: Path
) -> dict[str, Any]:
    """Measure a point, and watch the server meanwhile.

    Args:
        bench: With what.
        target: The server.
        load: What to send.
        point: How.
        raw: Folder for what perf_analyzer writes; is made.

    Returns:
        What `measure_once` returns, and `watched`, what `watched` saw.

    Raises:
        ResultError: `raw` cannot be written, or is there already.
        ServerError: The server is away.
    """
    with watched(target, STEPS) as seen:
        measured = measure_once(load, point, raw, window_s=bench.lengths.window_s)
    return {**measured, "watched": seen}


def _ask_all(
    bench: Bench, name: str, target: Target, rows: Sequence[str], measured: dict[str, Any]
) -> None:
    """Measure the rows that perf_analyzer asks for, and add each to `measured`."""
    load_of = requests.loads(bench.perf, target.url, ENSEMBLE, bench.work)
    for row in [row for row in POINTS if row in rows]:
        measured[row] = ask(bench, name, target, load_of, row)
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
        cameras.write_intervals(path, count)
        raw = bench.raw / name / f"cameras-{count}-try-{len(steps)}"
        window_s = bench.lengths.camera_window_s
        measured = measure_once(load, point, raw, window_s=window_s, intervals=path)
        held = cameras.held(count, measured)
        steps.append({"cameras": count, "held": held, **measured})
        say(f"{name}, {count} cameras: {line(measured)}: {'hold' if held else 'break'}")
        return held

    found = cameras.most(holds, at_most=int(most_frames_per_s / CAMERA_FPS) + 1)
    return {"cameras": found, "steps": steps}


def line(measured: dict[str, Any]) -> str:
    """What `measure_once` returned, for people."""
    if "frames_per_s" not in measured:
        return str(measured["words"])
    latency = measured["latency_ms"]
    return (
        f"{measured['frames_per_s']:.1f} frames/s, p50 {latency['p50']:.2f} ms, "
        f"p99 {latency['p99']:.2f} ms"
    )


def _rates(bare: dict[str, Any]) -> str:
    return ", ".join(f"{one['frames_per_s']:.0f} frames/s at {size}" for size, one in bare.items())
