"""Metrics of the leases with which several instances share cameras."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from yolostream.service.leases.coordinator import Coordinator
from yolostream.service.metrics.names import PREFIX
from yolostream.service.service import Service


@dataclass(frozen=True)
class LeaseMetrics(Collector):
    """Collects what this instance knows of its leases. A scrape does not access the store.

    Args:
        service: runs the cameras.
        coordinator: coordinates the leases.
    """

    service: Service
    coordinator: Coordinator

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        with self.service.cameras() as cameras:
            held = {name: one.lease for name, one in cameras.items() if one.lease is not None}
        yield GaugeMetricFamily(
            f"{PREFIX}cameras_held", "Cameras whose leases this instance holds.", value=len(held)
        )
        numbers = GaugeMetricFamily(
            f"{PREFIX}camera_lease",
            "Number of the lease with which a camera runs here. It grows with each new holder.",
            labels=("camera",),
        )
        for name, lease in held.items():
            numbers.add_metric((name,), lease.number)
        yield numbers
        yield CounterMetricFamily(
            f"{PREFIX}lease_renewals_failed",
            "How often the leases of this instance could not be renewed.",
            value=self.coordinator.failed_renewals,
        )
        yield CounterMetricFamily(
            f"{PREFIX}lease_takeovers",
            "Cameras that this instance acquired after their holder had died or ended.",
            value=self.coordinator.takeovers,
        )
