"""Metrics of the Triton that the service has started."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from yolostream.server.health import Ask
from yolostream.service.metrics.names import PREFIX


@dataclass(frozen=True)
class ServerMetrics(Collector):
    """Collects the latest known health, without a request to the server.

    Args:
        health: returns the health of the server.
    """

    health: Ask

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        health = self.health()
        yield GaugeMetricFamily(
            f"{PREFIX}server_up",
            "Whether the Triton that the service has started runs, with all of its steps.",
            value=float(health.is_up),
        )
        yield CounterMetricFamily(
            f"{PREFIX}server_restarts",
            "How often this Triton was started again.",
            value=health.restarts,
        )
        answers = GaugeMetricFamily(
            f"{PREFIX}server_model_up",
            "Whether an ensemble has answered its last probe.",
            labels=("model",),
        )
        for model, is_up in health.models.items():
            answers.add_metric((model,), float(is_up))
        yield answers
