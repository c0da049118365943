"""All metrics of a service."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from yolostream._version import __version__
from yolostream.server.embedded import EmbeddedTriton
from yolostream.service.leases.coordinator import Coordinator
from yolostream.service.metrics.cameras import CameraMetrics
from yolostream.service.metrics.leases import LeaseMetrics
from yolostream.service.metrics.names import PREFIX
from yolostream.service.metrics.processes import WorkerMetrics
from yolostream.service.metrics.server import ServerMetrics
from yolostream.service.service import Service


class _BuildInfo(Collector):
    """The version of the service."""

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        build = GaugeMetricFamily(
            f"{PREFIX}build_info", "Version of the service.", labels=("version",)
        )
        build.add_metric((__version__,), 1.0)
        yield build


def registry_of(
    service: Service, triton: EmbeddedTriton | None, coordinator: Coordinator | None = None
) -> CollectorRegistry:
    """All metrics of a service.

    Args:
        service: the service.
        triton: the Triton that was started for it; None if it uses another one.
        coordinator: coordinates the leases; None if there are none.
    """
    registry = CollectorRegistry()
    registry.register(_BuildInfo())
    registry.register(CameraMetrics(service))
    registry.register(WorkerMetrics(service))
    if triton is not None:
        registry.register(ServerMetrics(triton.health))
    if coordinator is not None:
        registry.register(LeaseMetrics(service, coordinator))
    ProcessCollector(registry=registry)
    return registry
