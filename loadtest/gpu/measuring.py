"""All rows of one profile: the bare engine first, then a server of its own."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from yolostream.client.connection import connect
from yolostream.client.triton_errors import translated
from yolostream.server.cores import busy_poll_cores
from yolostream.server.embedded import Profile

from loadtest.clips import CAMERA_FPS
from loadtest.gpu import engine
from loadtest.gpu.bench import AWAKE_ROWS, POINTS, Bench, frames_of
from loadtest.machine import gpu_memory_gb, settled_gpu_memory_gb
from loadtest.perf.load import Load, Point
from loadtest.perf.report import line
from loadtest.processes import spending
from loadtest.repository import STEPS
from loadtest.result_file import say
from loadtest.search import Bound, most
from loadtest.server import Target
from loadtest.table import Figures

CAMERAS_BOUND = Bound(CAMERA_FPS, latency_s=0.033)
_TIMEOUT_S = 10.0


def measure(bench: Bench, profile: Profile, rows: Sequence[str], *, figures: Figures) -> None:
    """Measure rows of `loadtest.gpu.bench.ROWS` for a profile.

    Each is added to `figures` when it is done: `bare`, and `rows` by name.
    """
    figures["bare"] = engine.bare(bench, profile)
    rates = {size: one["frames_per_s"] for size, one in figures["bare"].items()}
    say(f"{profile}, the bare engine's frames/s by batch size: {rates}")
    measured = figures.setdefault("rows", {})
    if "stages" in rows:
        measured["stages"] = engine.stages(bench)
        say(f"{profile}, stages: {measured['stages']}")
    empty_gb = settled_gpu_memory_gb() if "memory" in rows else 0.0
    with bench.serving(profile, figures) as (target, load):
        raw = bench.raw / profile
        for row in [row for row in POINTS if row in rows]:
            measured[row] = measure_row(load, target, row, raw, bench.lengths.window_s)
        if "cameras" in rows:
            seen = [one["frames_per_s"] for one in measured.values() if "frames_per_s" in one]
            fastest = max(seen, default=256.0 * CAMERA_FPS)
            measured["cameras"] = _cameras(load, raw, bench.lengths.camera_window_s, fastest)
        if "memory" in rows:
            measured["memory"] = {"after_work_gb": round(gpu_memory_gb() - empty_gb, 3)}
            say(f"{profile}, memory: {measured['memory']}")


def measure_row(load: Load, target: Target, row: str, raw: Path, window_s: float) -> dict[str, Any]:
    """Measure one row of `POINTS`; `raw` is the folder of the profile.

    Returns:
        What `Load.measure` returns, and `watched`: `batch_sizes`, how often each step ran on a
        batch of which size; and `cpu_ms_per_frame`, processor time in milliseconds by program.
    """
    awake = busy_poll_cores() if row in AWAKE_ROWS else contextlib.nullcontext()
    with awake, _watched(target) as seen:
        measured = load.measure(POINTS[row], raw / row, window_s=window_s)
    say(f"{raw.name}, {row}: {line(measured)}")
    return {**measured, "watched": seen}


@contextlib.contextmanager
def _watched(target: Target) -> Iterator[dict[str, Any]]:
    """Watch a server inside the block, after which the yielded dictionary is filled."""
    seen: dict[str, Any] = {}
    before = _batches(target.url)
    with spending(target.pids) as spent_s:
        yield seen
    seen["batch_sizes"] = {
        # JSON has only text for keys.
        step: {
            str(size): count - before[step].get(size, 0)
            for size, count in sorted(sizes.items())
            if count > before[step].get(size, 0)
        }
        for step, sizes in _batches(target.url).items()
    }
    # It is divided by frames, because perf_analyzer also reads and writes for some seconds.
    frames = max(1, frames_of(seen["batch_sizes"][STEPS[-1]]))
    seen["cpu_ms_per_frame"] = {
        name: round(1000 * spent / frames, 3) for name, spent in spent_s.items()
    }


def _batches(url: str) -> dict[str, dict[int, int]]:
    """How often each step has run on a batch of which size since it was loaded."""
    found = {}
    with connect(url) as client:
        for step in STEPS:
            with translated(url, step):
                told = client.get_inference_statistics(step, client_timeout=_TIMEOUT_S)
            (stats,) = told.model_stats
            found[step] = {one.batch_size: one.compute_infer.count for one in stats.batch_stats}
    return found


def _cameras(load: Load, raw: Path, window_s: float, most_frames_per_s: float) -> dict[str, Any]:
    """Search for the most cameras that hold, and keep every step of the search.

    perf_analyzer sends what they would. Cameras in Python, as in `loadtest.capacity`, would use
    more cores at 1,500 frames/s than the server.
    """
    steps: list[dict[str, Any]] = []

    def holds(count: int) -> bool:
        path = load.folder / f"{count}-cameras.txt"
        path.write_text("".join(f"{interval}\n" for interval in intervals_us(count)))
        measured = load.measure(
            Point("system"),
            raw / f"cameras-{count}-try-{len(steps)}",
            window_s=window_s,
            intervals=path,
        )
        held = cameras_hold(count, measured)
        steps.append({"cameras": count, "held": held, **measured})
        say(f"{raw.name}, {count} cameras: {line(measured)}: {'hold' if held else 'break'}")
        return held

    # The server does not answer more than its own rate.
    numbers = range(1, int(most_frames_per_s / CAMERA_FPS) + 2)
    return {"cameras": most(holds, numbers, twice=True), "steps": steps}


def intervals_us(cameras: int) -> list[int]:
    """Microseconds between the frames of so many cameras, for one frame of each.

    Each camera starts at a random moment, which is the same in every run.
    """
    period = round(1_000_000 / CAMERA_FPS)
    chance = random.Random(cameras)
    moments = sorted(chance.randrange(period) for _ in range(cameras))
    # perf_analyzer does not send two frames at the same moment.
    return [max(1, after - before) for before, after in pairwise([*moments, moments[0] + period])]


def cameras_hold(cameras: int, measured: dict[str, Any]) -> bool:
    """Whether so many cameras were answered in time, by what perf_analyzer measured."""
    if "frames_per_s" not in measured:
        return False
    each = measured["frames_per_s"] / cameras
    p99_ms = measured["latency_ms"]["p99"]
    return not CAMERAS_BOUND.broken_by(p99_ms, frames_per_s_each=each)
