"""Metrics of the workers' processes. Those of the service's own process are prometheus-client's."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from yolostream.service.metrics.names import PREFIX
from yolostream.service.service import Service
from yolostream.service.worker import Worker

_CPU_S, _MEMORY, _FILES = (
    "process_cpu_seconds",
    "process_resident_memory_bytes",
    "process_open_fds",
)


@dataclass
class _Processor:
    """Processor time in seconds of all processes of a worker, one after the other.

    The time that a process used between the last scrape and its end is missing.
    """

    of_ended_s: float = 0.0
    pid: int | None = None
    latest_s: float = 0.0

    def note(self, pid: int | None, seconds: float) -> float:
        """Add the time of the present process, and return the sum."""
        if pid != self.pid:
            self.of_ended_s += self.latest_s
            self.pid, self.latest_s = pid, 0.0
        self.latest_s = max(seconds, self.latest_s)
        return self.of_ended_s + self.latest_s


class WorkerMetrics(Collector):
    """Collects the use of resources from `/proc`. Workers are numbered from 1 on.

    Args:
        service: the service that has the workers.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._processors: dict[int, _Processor] = {}
        # Two scrapes may come at the same time.
        self._lock = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        workers = self._service.workers()
        yield GaugeMetricFamily(
            f"{PREFIX}workers", "Processes that run cameras.", value=len(workers)
        )
        yield CounterMetricFamily(
            f"{PREFIX}worker_restarts",
            "How often a process that runs cameras died and was started again.",
            value=sum(worker.restarts for worker in workers),
        )
        with self._lock:
            yield from self._usage(workers)

    def _usage(self, workers: Sequence[Worker]) -> Iterator[Metric]:
        processor = CounterMetricFamily(
            f"{PREFIX}worker_cpu_seconds", "Processor time of a worker.", labels=("worker",)
        )
        memory = GaugeMetricFamily(
            f"{PREFIX}worker_resident_memory_bytes", "Memory of a worker.", labels=("worker",)
        )
        files = GaugeMetricFamily(
            f"{PREFIX}worker_open_fds", "Open file descriptors of a worker.", labels=("worker",)
        )
        for number, worker in enumerate(workers, start=1):
            pid, label = worker.pid, (str(number),)
            usage = _usage_of(pid)
            before = self._processors.setdefault(number, _Processor())
            processor.add_metric(label, before.note(pid, usage.get(_CPU_S, 0.0)))
            if _MEMORY in usage:
                memory.add_metric(label, usage[_MEMORY])
            if _FILES in usage:
                files.add_metric(label, usage[_FILES])
        yield from (processor, memory, files)


def _usage_of(pid: int | None) -> dict[str, float]:
    """The values of a process by name; empty if there is no process."""
    if pid is None:
        return {}
    collector = ProcessCollector(pid=partial(int, pid), registry=None)
    return {metric.name: metric.samples[0].value for metric in collector.collect()}
