"""What a service reports to Prometheus."""

from __future__ import annotations

import math
import urllib.request
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

_TIMEOUT_S = 30.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Scrape:
    """Values by name, without `yolostream_`, and by labels in alphabetical order."""

    values: Mapping[str, Mapping[Labels, float]]

    def since(self, before: Scrape) -> Scrape:
        """The increases between two scrapes."""
        return Scrape(
            {
                name: {
                    labels: value - before.values.get(name, {}).get(labels, 0.0)
                    for labels, value in series.items()
                }
                for name, series in self.values.items()
            }
        )

    def by(self, label: str, name: str) -> dict[str, float]:
        """The values of a metric by one of its labels, summed over the others."""
        found: dict[str, float] = defaultdict(float)
        for labels, value in self.values.get(name, {}).items():
            found[dict(labels)[label]] += value
        return dict(found)

    def by_camera(self, name: str) -> dict[str, float]:
        """The values of a metric by camera."""
        return self.by("camera", name)

    def total(self, name: str) -> float:
        """The sum of all series of a metric."""
        return sum(self.values.get(name, {}).values())

    def ages(self) -> list[tuple[float, float]]:
        """Frames of all cameras by age: upper limits in seconds, and how many are within them."""
        reached = self.by("le", "frame_age_seconds_bucket")
        return sorted((float(limit), count) for limit, count in reached.items())

    def age_s(self, share: float) -> float:
        """The age in seconds that this share of the frames did not exceed."""
        return quantile(self.ages(), share)

    def ages_ms(self) -> dict[str, float]:
        """Milliseconds that half, 99% and all of the frames did not exceed."""
        shares = {"p50": 0.5, "p99": 0.99, "most": 1.0}
        return {name: round(1000 * self.age_s(share), 1) for name, share in shares.items()}


def scraped(address: str) -> Scrape:
    """The metrics of the service at `host:port`."""
    with _DIRECT.open(f"http://{address}/metrics", timeout=_TIMEOUT_S) as answer:
        return read(answer.read().decode())


def read(text: str) -> Scrape:
    """Parse metrics as Prometheus does."""
    values: dict[str, dict[Labels, float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            values[sample.name.removeprefix("yolostream_")][labels] = sample.value
    return Scrape(dict(values))


def quantile(reached: list[tuple[float, float]], share: float) -> float:
    """A quantile as Prometheus' `histogram_quantile` computes it; NaN without any values.

    Args:
        reached: Upper limits, and how many values are within each.
        share: 0..1.
    """
    if not reached or not reached[-1][1]:
        return math.nan
    wanted = share * reached[-1][1]
    low_limit = low = 0.0
    for limit, count in reached:
        if count >= wanted:
            if math.isinf(limit):
                return low_limit
            return low_limit + (limit - low_limit) * (wanted - low) / max(count - low, 1e-9)
        low_limit, low = limit, count
    return low_limit
