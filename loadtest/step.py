"""The load of a number of cameras on a server, and what it costs client, server and machine."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import psutil
from yolostream import Detector

from loadtest.cameras import ANSWERED, LATE, Cameras, Record
from loadtest.machine import gpu_busy
from loadtest.processes import cpu_s
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


class _Spent(NamedTuple):
    """Seconds that passed, and seconds of processor time."""

    passed: float
    own: float
    """Of this process and the cameras."""
    server: float
    idle: float
    """Of all processors of this machine."""

    @classmethod
    def until_now(cls, target: Target, cameras: Cameras) -> _Spent:
        machine = psutil.cpu_times()
        own = time.process_time() + cameras.cpu_s()
        return cls(time.perf_counter(), own, cpu_s(target.pids), machine.idle + machine.iowait)


def measure(
    target: Target,
    detector: Detector,
    cameras: Cameras,
    bound: Bound,
    *,
    count: int,
    seconds: float,
) -> Step:
    """Run `count` cameras, and measure the last `seconds`."""
    with cameras.showing(count) as records:
        time.sleep(seconds / 4)  # Queues fill, and shared memory is created.
        models, before = detector.statistics(), _Spent.until_now(target, cameras)
        time.sleep(seconds)
        after, models_after = _Spent.until_now(target, cameras), detector.statistics()
        busy = gpu_busy()
    spent = _Spent(*(now - then for now, then in zip(after, before, strict=True)))
    shown = [one for one in records if before.passed <= one.scheduled_s < after.passed]
    sent = sum(one.sent_s is not None for one in shown)
    cores = psutil.cpu_count()
    busy_cores = min(cores, cores - spent.idle / spent.passed)
    other_cores = busy_cores - (spent.own + spent.server) / spent.passed
    passed = {name: totals.since(models[name]) for name, totals in models_after.items()}
    return Step(
        cameras=count,
        **_seen(shown, bound),
        generator_cpu_ms_per_frame=round(1000 * spent.own / max(1, sent), 2),
        server_cores=round(spent.server / spent.passed, 2) if target.pids else None,
        other_cores=round(max(0.0, other_cores), 2),
        machine_busy=round(busy_cores / cores, 2),
        gpu_busy=busy,
        queue_ms={name: _mean_ms(t.queue_s, t.requests) for name, t in passed.items()},
        compute_ms={name: _mean_ms(t.compute_s, t.requests) for name, t in passed.items()},
    )


def _seen(records: list[Record], bound: Bound) -> dict[str, Any]:
    """What the cameras saw, as fields of `Step`."""
    outcomes = Counter(record.outcome for record in records)
    lost = len(records) - outcomes[ANSWERED] - outcomes[LATE]
    latencies_ms = [1000 * r.latency_s for r in records if r.latency_s is not None]
    sent_late_ms = [1000 * (r.sent_s - r.scheduled_s) for r in records if r.sent_s is not None]
    p50_ms, p99_ms = (
        np.percentile(latencies_ms, [50, 99]).round(2).tolist() if latencies_ms else (None, None)
    )
    return {
        "frames": len(records),
        "outcomes": dict(outcomes),
        "p50_ms": p50_ms,
        "p99_ms": p99_ms,
        "lost": round(lost / max(1, len(records)), 4),
        "broken_by": bound.broken_by(p99_ms, left_out=lost, frames=len(records)),
        "sent_late_p99_ms": round(float(np.percentile(sent_late_ms or [0.0], 99)), 2),
    }


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
