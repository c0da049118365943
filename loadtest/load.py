"""A load of cameras for some seconds, and what it cost clients, server and machine."""

from __future__ import annotations

import re
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass

import numpy as np
import psutil
from yolostream import Detector
from yolostream.client.statistics import StepTotals

from loadtest.bound import Bound
from loadtest.camera_process import ANSWERED, LATE, Record
from loadtest.cameras import Cameras
from loadtest.server import Target
from loadtest.usage import cpu_s

FULL = 0.8
"""Share of a resource from which on it holds the rest up: queues grow before all of it is taken."""

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_GPU_UTILIZATION = re.compile(r"^nv_gpu_utilization\{.*\} (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """What so many cameras met with; shares are of one core, of the machine, or of the frames."""

    cameras: int
    frames: int
    outcomes: dict[str, int]
    p50_ms: float | None
    p99_ms: float | None
    lost: float
    """Share of the frames without an answer."""
    broken_by: str
    """As `Bound.broken_by` says; nothing where the cameras held."""
    sent_late_p99_ms: float
    """Between a frame's time and its sending: of the load generator alone."""
    generator_cores: float
    generator_cpu_ms_per_frame: float
    server_cores: float | None
    """None where the server runs elsewhere."""
    machine_busy: float
    """Share of this machine's processors in use, by all programs."""
    other_cores: float | None
    """Taken by other programs; None where the server runs elsewhere."""
    gpu_utilization: float | None
    queue_ms: dict[str, float]
    """Mean wait for each model, by its name."""
    compute_ms: dict[str, float]
    """Mean time in each model, by its name."""


def measure(
    target: Target, detector: Detector, cameras: Cameras, *, count: int, seconds: float
) -> Step:
    """Let `count` cameras run, and look at the last `seconds`.

    Raises:
        ServerError: the server went away.
        LoadTestError: the cameras did.
    """
    with cameras.showing(count) as records:
        time.sleep(seconds / 4)  # Queues fill, and places are made.
        before = _Usage.now(target, detector, cameras)
        time.sleep(seconds)
        after = _Usage.now(target, detector, cameras)
        gpu = gpu_utilization(target)
    return _step(
        count,
        [record for record in records if before.time_s <= record.scheduled_s < after.time_s],
        before,
        after,
        cameras.bound,
        gpu,
    )


def gpu_utilization(target: Target) -> float | None:
    """Of the busiest GPU, 0..1, from Triton's metrics; None where they tell of none."""
    if target.metrics_url is None:
        return None
    try:
        with _DIRECT.open(target.metrics_url, timeout=10) as answer:
            shares = _GPU_UTILIZATION.findall(answer.read().decode())
    except OSError:
        return None
    return max(map(float, shares), default=None)


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
        return cls(
            time_s=time.perf_counter(),
            own_cpu_s=time.process_time() + cameras.cpu_s(),
            server_cpu_s=cpu_s(target.pids) if target.pids else None,
            machine_idle_s=psutil.cpu_times().idle + psutil.cpu_times().iowait,
            models=models,
        )


def _step(
    count: int,
    records: list[Record],
    before: _Usage,
    after: _Usage,
    bound: Bound,
    gpu: float | None,
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
    own_cpu_s = after.own_cpu_s - before.own_cpu_s
    cores = psutil.cpu_count()
    busy_cores = min(cores, cores - (after.machine_idle_s - before.machine_idle_s) / seconds)
    server_cores = other_cores = None
    if before.server_cpu_s is not None and after.server_cpu_s is not None:
        server_cores = (after.server_cpu_s - before.server_cpu_s) / seconds
        other_cores = round(max(0.0, busy_cores - server_cores - own_cpu_s / seconds), 2)
    return Step(
        cameras=count,
        frames=len(records),
        outcomes=dict(outcomes),
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        lost=round(lost / max(1, len(records)), 4),
        broken_by=bound.broken_by(p99_ms, left_out=lost, frames=len(records)),
        sent_late_p99_ms=round(float(np.percentile(sent_late_ms or [0.0], 99)), 2),
        generator_cores=round(own_cpu_s / seconds, 3),
        generator_cpu_ms_per_frame=round(1000 * own_cpu_s / max(1, len(sent_late_ms)), 2),
        server_cores=None if server_cores is None else round(server_cores, 2),
        machine_busy=round(busy_cores / cores, 2),
        other_cores=other_cores,
        gpu_utilization=gpu,
        queue_ms={name: _mean_ms(t.queue_s, t.requests) for name, t in passed.items()},
        compute_ms={name: _mean_ms(t.compute_s, t.requests) for name, t in passed.items()},
    )


def _mean_ms(seconds: float, frames: int) -> float:
    return round(1000 * seconds / max(1, frames), 2)


def bound_by(step: Step, bound: Bound) -> str:
    """Name the resource that kept a step from more, as the end of "bound by ...".

    A generator that sends late measures itself. Else a processor without time is to blame, and
    the model that takes most of it; else whatever a frame spends most of its time with.
    """
    slowest = max(step.compute_ms, key=lambda name: step.compute_ms[name])
    if step.sent_late_p99_ms > 1000 * bound.latency_s / 4:
        return "the load generator, which sends late"
    if step.gpu_utilization is not None and step.gpu_utilization >= FULL:
        return f"{slowest} on the GPU"
    if step.server_cores is not None and step.machine_busy >= FULL:
        if step.other_cores is not None and step.other_cores > step.server_cores:
            return "other programs on the CPU"
        return f"{slowest} on the CPU"
    waits = {f"the queue of {name}": wait for name, wait in step.queue_ms.items()}
    works = {f"the time that {name} takes": work for name, work in step.compute_ms.items()}
    spent = waits | works
    if step.p50_ms is not None:
        spent["the wire"] = step.p50_ms - sum(spent.values())
    return max(spent, key=lambda name: spent[name])
