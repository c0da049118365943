"""What a server ran out of."""

from __future__ import annotations

from loadtest.cameras import Bound
from loadtest.load import Step

FULL = 0.8
"""Share of a resource from which on it holds the rest up: queues grow before all of it is taken."""


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
