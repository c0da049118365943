"""What a service tells Prometheus, between two scrapes."""

from __future__ import annotations

import math
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

_TIMEOUT_S = 30.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Scrape:
    """Values by name, without `yolostream_`, and labels in alphabetical order."""

    values: Mapping[str, Mapping[Labels, float]]

    def by_camera(self, name: str) -> dict[str, float]:
        """Values of a metric, those of other labels summed."""
        found: dict[str, float] = {}
        for labels, value in self.values.get(name, {}).items():
            camera = dict(labels)["camera"]
            found[camera] = found.get(camera, 0.0) + value
        return found

    def total(self, name: str) -> float:
        """Sum of all series of a metric."""
        return sum(self.values.get(name, {}).values())


def scraped(address: str) -> Scrape:
    """The metrics of the service at `host:port`."""
    with _DIRECT.open(f"http://{address}/metrics", timeout=_TIMEOUT_S) as answer:
        return read(answer.read().decode())


def read(text: str) -> Scrape:
    """Metrics as Prometheus reads them."""
    values: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            values.setdefault(sample.name.removeprefix("yolostream_"), {})[labels] = sample.value
    return Scrape(values)


@dataclass(frozen=True)
class Window:
    """What came between two scrapes."""

    before: Scrape
    after: Scrape

    def frames(self, what: str) -> dict[str, float]:
        """Frames of each camera, `what` being `decoded`, `completed`, ..."""
        name = f"frames_{what}_total"
        before = self.before.by_camera(name)
        return {
            camera: count - before.get(camera, 0.0)
            for camera, count in self.after.by_camera(name).items()
        }

    def ages(self) -> list[tuple[float, float]]:
        """Frames of all cameras by age: upper limits in seconds, and how many do not exceed it."""
        reached: dict[float, float] = {}
        for sign, scrape in ((1, self.after), (-1, self.before)):
            for labels, count in scrape.values.get("frame_age_seconds_bucket", {}).items():
                limit = float(dict(labels)["le"])
                reached[limit] = reached.get(limit, 0.0) + sign * count
        return sorted(reached.items())

    def age_s(self, share: float) -> float:
        """The age that a share of the frames did not exceed, within a bucket a straight line."""
        return quantile(self.ages(), share)

    def ages_ms(self) -> dict[str, float]:
        """Milliseconds that half, 99 % and all of the frames did not exceed."""
        shares = {"p50": 0.5, "p99": 0.99, "most": 1.0}
        return {name: round(1000 * self.age_s(share), 1) for name, share in shares.items()}


def quantile(reached: list[tuple[float, float]], share: float) -> float:
    """As Prometheus' `histogram_quantile`; NaN without any.

    Args:
        reached: upper limits, and how many do not exceed each.
        share: from 0 to 1.
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


def fairness(frames: Mapping[str, float]) -> float:
    """The least that a camera got over the most."""
    return min(frames.values()) / max(1.0, *frames.values())
