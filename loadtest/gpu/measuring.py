"""All rows of one profile: the bare engine first, then a server of its own."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

from tritonclient.grpc import InferenceServerClient
from yolostream.client.connection import connect
from yolostream.client.triton_errors import translated
from yolostream.server import embedded
from yolostream.server.cores import busy_poll_cores

from loadtest.clips import CAMERA_FPS
from loadtest.gpu import engine, nvidia_smi
from loadtest.gpu.bench import AWAKE_ROWS, POINTS, Bench
from loadtest.gpu.profiles import Profile
from loadtest.perf import inputs
from loadtest.perf.process import DOWNSCALED, Load, Point, Size
from loadtest.perf.process import measure as measure_point
from loadtest.perf.report import line
from loadtest.processes import cpu_s_by_program
from loadtest.repository import ENSEMBLE, STEPS
from loadtest.result_file import say, triton_version
from loadtest.search import Bound, most
from loadtest.server import Target, served
from loadtest.table import Figures

CAMERAS_BOUND = Bound(CAMERA_FPS, latency_s=0.033)
_TIMEOUT_S = 10.0


def measure(bench: Bench, profile: Profile, rows: Sequence[str], *, figures: Figures) -> None:
    """Measure rows of `loadtest.gpu.bench.ROWS` for a profile.

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
    with served(
        None,
        model=ENSEMBLE,
        # The command line takes any name that the repository has a configuration for.
        profile=cast(embedded.Profile, profile.name),
        repository=bench.repository,
        environment=bench.environment,
    ) as target:
        figures["triton"] = triton_version(target.url)
        loaded_gb = nvidia_smi.used_gb() if "memory" in rows else 0.0
        _measure_points(bench, profile.name, target, rows, measured)
        if "memory" in rows:
            used_gb = {"loaded_gb": loaded_gb, "after_work_gb": nvidia_smi.used_gb()}
            add("memory", {name: round(gb - empty_gb, 3) for name, gb in used_gb.items()})


@contextlib.contextmanager
def _watched(target: Target) -> Iterator[dict[str, Any]]:
    """Watch a server inside the block, after which the yielded dictionary is filled."""
    seen: dict[str, Any] = {}
    before, cpu_before_s = _batches(target), cpu_s_by_program(target.pids)
    yield seen
    cpu_after_s, after = cpu_s_by_program(target.pids), _batches(target)
    seen["batch_sizes"] = {
        step: {
            # JSON has only text for keys.
            str(size): count - before[step].get(size, 0)
            for size, count in sorted(sizes.items())
            if count > before[step].get(size, 0)
        }
        for step, sizes in after.items()
    }
    # It is divided by frames, because perf_analyzer also reads and writes for some seconds.
    frames = max(1, frames_of(seen["batch_sizes"][STEPS[-1]]))
    seen["cpu_ms_per_frame"] = {
        name: round(1000 * (now_s - cpu_before_s.get(name, 0.0)) / frames, 3)
        for name, now_s in cpu_after_s.items()
    }


def frames_of(batch_sizes: Mapping[str, int]) -> int:
    """The frames in so many batches of each size."""
    return sum(int(size) * count for size, count in batch_sizes.items())


def _batches(target: Target) -> dict[str, dict[int, int]]:
    """How often each step has run on a batch of which size since it was loaded."""
    with connect(target.url) as client:
        return {step: _batches_of(client, step, target.url) for step in STEPS}


def _batches_of(client: InferenceServerClient, model: str, url: str) -> dict[int, int]:
    with translated(url, model):
        (stats,) = client.get_inference_statistics(model, client_timeout=_TIMEOUT_S).model_stats
    return {batch.batch_size: batch.compute_infer.count for batch in stats.batch_stats}


def measure_row(
    bench: Bench, name: str, target: Target, load_of: Callable[[Size], Load], row: str
) -> dict[str, Any]:
    """Measure one row of `POINTS`; `name` is that of the profile.

    Returns:
        What `loadtest.perf.process.measure` returns, and `watched`: `batch_sizes`, how often each
        step ran on a batch of which size; and `cpu_ms_per_frame`, processor time in milliseconds
        by program.
    """
    point, raw = POINTS[row], bench.raw / name / row
    load = load_of(point.size)
    awake = busy_poll_cores() if row in AWAKE_ROWS else contextlib.nullcontext()
    with awake, _watched(target) as seen:
        measured = measure_point(load, point, raw, window_s=bench.lengths.window_s)
    say(f"{name}, {row}: {line(measured)}")
    return {**measured, "watched": seen}


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
    """Search for the most cameras that hold, and keep every step of the search.

    perf_analyzer sends what they would. Cameras in Python, as in `loadtest.capacity`, would use
    more cores at 1,500 frames/s than the server.
    """
    steps: list[dict[str, Any]] = []
    # Its concurrency does not count.
    point = Point(ENSEMBLE, "system", 1)

    def holds(count: int) -> bool:
        path = bench.work / f"{count}-cameras.txt"
        path.write_text("".join(f"{interval}\n" for interval in intervals_us(count)))
        raw = bench.raw / name / f"cameras-{count}-try-{len(steps)}"
        window_s = bench.lengths.camera_window_s
        measured = measure_point(load, point, raw, window_s=window_s, intervals=path)
        held = cameras_hold(count, measured)
        steps.append({"cameras": count, "held": held, **measured})
        say(f"{name}, {count} cameras: {line(measured)}: {'hold' if held else 'break'}")
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
