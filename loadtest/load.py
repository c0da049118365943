"""The load of a number of cameras on a server, and what it costs client, server and machine."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
import psutil
from yolostream import Detector
from yolostream.client.statistics import StepTotals

from loadtest.camera_process import ANSWERED, LATE, Record
from loadtest.cameras import Cameras
from loadtest.processes import cpu_s, output_of
from loadtest.search import Bound
from loadtest.server import Target

FULL = 0.8
"""From this share on, the processors limit the rate. Queues grow before all of them are busy."""


@dataclass(frozen=True)
class Step:
    """What was measured with one number of cameras."""

    cameras: int
    frames: int
    outcomes: dict[str, int]
    p50_ms: float | None
    p99_ms: float | None
    lost: float
    """Share of the frames without an answer, 0..1."""
    broken_by: str
    """As `Bound.broken_by` returns it."""
    sent_late_p99_ms: float
    """Between the time of a frame and its sending; only the load generator causes it."""
    generator_cpu_ms_per_frame: float
    server_cores: float | None
    """None if the server runs on another machine."""
    other_cores: float
    """Cores that other programs used, on this machine."""
    machine_busy: float
    """Share of this machine's processors in use by all programs, 0..1."""
    gpu_busy: float | None
    """Share of the time in which the busiest GPU of this machine computed; None without one."""
    queue_ms: dict[str, float]
    """Mean wait for each model, by its name."""
    compute_ms: dict[str, float]
    """Mean time in each model, by its name."""


def measure(
    target: Target, detector: Detector, cameras: Cameras, *, count: int, seconds: float
) -> Step:
    """Run `count` cameras, and measure the last `seconds`.

    Raises:
        ServerError: The server is unavailable.
        LoadTestError: A process of cameras ended.
    """
    with cameras.showing(count) as records:
        time.sleep(seconds / 4)  # Queues fill, and shared memory is created.
        before = _Usage.now(target, detector, cameras)
        time.sleep(seconds)
        after = _Usage.now(target, detector, cameras)
        gpu_busy = _gpu_busy()
    within = [record for record in records if before.time_s <= record.scheduled_s < after.time_s]
    return _step(count, within, before, after, cameras.bound, gpu_busy)


def _gpu_busy() -> float | None:
    query = ("--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")
    shares = [int(one) for one in output_of("nvidia-smi", *query).split() if one.isdecimal()]
    return max(shares) / 100 if shares else None


@dataclass(frozen=True)
class _Usage:
    time_s: float
    own_cpu_s: float
    server_cpu_s: float | None
    machine_idle_s: float
    models: dict[str, StepTotals]

    @classmethod
    def now(cls, target: Target, detector: Detector, cameras: Cameras) -> _Usage:
        models = detector.statistics()
        machine = psutil.cpu_times()
        return cls(
            time_s=time.perf_counter(),
            own_cpu_s=time.process_time() + cameras.cpu_s(),
            server_cpu_s=cpu_s(target.pids) if target.pids else None,
            machine_idle_s=machine.idle + machine.iowait,
            models=models,
        )


def _step(
    count: int,
    records: list[Record],
    before: _Usage,
    after: _Usage,
    bound: Bound,
    gpu_busy: float | None,
) -> Step:
    seconds = after.time_s - before.time_s
    outcomes = Counter(record.outcome for record in records)
    latencies_ms = [1000 * r.latency_s for r in records if r.latency_s is not None]
    p50_ms, p99_ms = (
        np.percentile(latencies_ms, [50, 99]).round(2).tolist() if latencies_ms else (None, None)
    )
    sent_late_ms = [1000 * (r.sent_s - r.scheduled_s) for r in records if r.sent_s is not None]
    lost = len(records) - outcomes[ANSWERED] - outcomes[LATE]
    passed = {name: after.models[name].since(before.models[name]) for name in after.models}
    own_cores = (after.own_cpu_s - before.own_cpu_s) / seconds
    cores = psutil.cpu_count()
    busy_cores = min(cores, cores - (after.machine_idle_s - before.machine_idle_s) / seconds)
    server_cores = None
    if before.server_cpu_s is not None and after.server_cpu_s is not None:
        server_cores = round((after.server_cpu_s - before.server_cpu_s) / seconds, 2)
    return Step(
        cameras=count,
        frames=len(records),
        outcomes=dict(outcomes),
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        lost=round(lost / max(1, len(records)), 4),
        broken_by=bound.broken_by(p99_ms, left_out=lost, frames=len(records)),
        sent_late_p99_ms=round(float(np.percentile(sent_late_ms or [0.0], 99)), 2),
        generator_cpu_ms_per_frame=round(1000 * own_cores * seconds / max(1, len(sent_late_ms)), 2),
        server_cores=server_cores,
        other_cores=round(max(0.0, busy_cores - own_cores - (server_cores or 0.0)), 2),
        machine_busy=round(busy_cores / cores, 2),
        gpu_busy=gpu_busy,
        queue_ms={name: _mean_ms(t.queue_s, t.requests) for name, t in passed.items()},
        compute_ms={name: _mean_ms(t.compute_s, t.requests) for name, t in passed.items()},
    )


def _mean_ms(seconds: float, frames: int) -> float:
    return round(1000 * seconds / max(1, frames), 2)


def bound_by(step: Step, bound: Bound) -> str:
    """Name the resource that kept a step from more cameras, as the end of "bound by ...".

    It is the load generator if that sends late. Otherwise it is a processor that is full, named
    by the model that takes most of it, or else where a frame spends most of its time.
    """
    slowest = max(step.compute_ms, key=lambda name: step.compute_ms[name])
    if step.sent_late_p99_ms > 1000 * bound.latency_s / 4:
        return "the load generator, which sends late"
    if step.server_cores is not None and (step.gpu_busy or 0.0) >= FULL:
        return f"{slowest} on the GPU"
    if step.server_cores is not None and step.machine_busy >= FULL:
        others = step.other_cores > step.server_cores
        return f"{'other programs' if others else slowest} on the CPU"
    waits = {f"the queue of {name}": wait for name, wait in step.queue_ms.items()}
    works = {f"the time that {name} takes": work for name, work in step.compute_ms.items()}
    spent = waits | works
    if step.p50_ms is not None:
        spent["the wire"] = step.p50_ms - sum(spent.values())
    return max(spent, key=lambda name: spent[name])
