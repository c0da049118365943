"""Metrics of the cameras and their frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from yolostream.pipeline.timing import STAGES, StageTimer
from yolostream.service.metrics.camera_tables import (
    COUNTERS,
    GAUGES,
    LABELED_COUNTERS,
    LABELED_GAUGES,
    Labeled,
    Plain,
    Seen,
)
from yolostream.service.metrics.histograms import buckets
from yolostream.service.metrics.names import PREFIX
from yolostream.service.service import Service


class CameraMetrics(Collector):
    """Collects the latest reports of the workers, without waiting for any of them.

    The series of a camera end when it is removed, and pause while another instance runs it.

    Args:
        service: the service that runs the cameras.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        with self._service.cameras() as cameras:
            count = len(cameras)
            everywhere = [Seen.of(name, camera) for name, camera in cameras.items()]
            stages = self._service.stages_of_removed
        seen = [one for one in everywhere if one.state != "elsewhere"]
        yield GaugeMetricFamily(
            f"{PREFIX}cameras", "Number of cameras, including disabled ones.", value=count
        )
        yield from (_labeled(GaugeMetricFamily, one, seen) for one in LABELED_GAUGES)
        yield from (_plain(GaugeMetricFamily, one, seen) for one in GAUGES)
        yield from (_plain(CounterMetricFamily, one, seen) for one in COUNTERS)
        yield from (_labeled(CounterMetricFamily, one, seen) for one in LABELED_COUNTERS)
        yield _ages(seen)
        yield _stages(everywhere, stages)


_Kind = type[GaugeMetricFamily] | type[CounterMetricFamily]


def _plain(kind: _Kind, metric: Plain, seen: Sequence[Seen]) -> Metric:
    name, words, value_of = metric
    family = kind(PREFIX + name, words, labels=("camera",))
    for one in seen:
        if (value := value_of(one)) is not None:
            family.add_metric((one.name,), value)
    return family


def _labeled(kind: _Kind, metric: Labeled, seen: Sequence[Seen]) -> Metric:
    name, words, label, values_of = metric
    family = kind(PREFIX + name, words, labels=("camera", label))
    for one in seen:
        for label_value, value in values_of(one).items():
            family.add_metric((one.name, label_value), value)
    return family


def _ages(seen: Sequence[Seen]) -> Metric:
    ages = HistogramMetricFamily(
        f"{PREFIX}frame_age_seconds",
        "Time from decoding a frame until its objects were detected and tracked.",
        labels=("camera",),
    )
    for one in seen:
        durations = one.totals.result_ages
        ages.add_metric((one.name,), buckets(durations), durations.total_s)
    return ages


def _stages(seen: Sequence[Seen], of_removed: StageTimer) -> Metric:
    stages = HistogramMetricFamily(
        f"{PREFIX}stage_seconds",
        "Time of a frame in a stage, over all cameras; decode includes waiting for the frame.",
        labels=("stage",),
    )
    timer = reduce(StageTimer.__add__, (one.totals.timer for one in seen), of_removed)
    for stage in STAGES:
        stages.add_metric((stage,), buckets(timer[stage]), timer[stage].total_s)
    return stages
