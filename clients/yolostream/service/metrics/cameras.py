"""Metrics of the cameras and of what is done with their frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import get_args

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from yolostream.pipeline.status import Drop, State, Status
from yolostream.pipeline.timing import STAGES, StageTimer
from yolostream.service.camera import Camera
from yolostream.service.metrics.histograms import buckets
from yolostream.service.metrics.names import PREFIX
from yolostream.service.service import Service

STATES: tuple[str, ...] = (*get_args(State), "disabled")
"""What a camera can be at; see `yolostream.pipeline.status.State`."""

REASONS: tuple[Drop, ...] = ("superseded", "stale", "server_unavailable")
"""Why frames are left out. What was too much for an output is told by output."""


@dataclass(frozen=True)
class _Seen:
    """A camera at the moment of a scrape."""

    name: str
    state: str
    status: Status
    totals: Status
    viewers: int
    oldest_s: float
    """Frames that are older are not sent."""

    @classmethod
    def of(cls, name: str, camera: Camera) -> _Seen:
        return cls(
            name,
            camera.state,
            camera.status,
            camera.totals.figures(),
            camera.audience.viewers,
            camera.task.job.max_age_s,
        )


_Plain = tuple[str, str, Callable[[_Seen], float | None]]
"""Name, meaning and value of a metric with one series a camera, or none where there is no value."""

_Labeled = tuple[str, str, str, Callable[[_Seen], Mapping[str, float]]]
"""Name, meaning, label and values of a metric with a series for each value of the label."""

_GAUGES: tuple[_Plain, ...] = (
    ("camera_up", "Whether frames of a camera come.", lambda one: float(one.state == "live")),
    (
        "last_frame_timestamp_seconds",
        "Unix time at which the newest frame with a result was decoded.",
        lambda one: one.status.latest_captured_at or None,
    ),
    (
        "frame_age_limit_seconds",
        "Age after which a frame is not worth sending any more, as it was set.",
        lambda one: one.oldest_s,
    ),
    (
        "objects",
        "Objects in the newest frame with a result.",
        lambda one: one.status.latest_objects,
    ),
    ("viewers", "Viewers of a camera's live video.", lambda one: one.viewers),
)

_COUNTERS: tuple[_Plain, ...] = (
    ("frames_decoded", "Frames that were decoded.", lambda one: one.totals.frames_read),
    (
        "frames_submitted",
        "Frames that were sent to the server.",
        lambda one: one.totals.frames_sent,
    ),
    ("frames_completed", "Frames whose objects were found.", lambda one: one.totals.frames_done),
    ("reconnects", "How often a camera was opened again.", lambda one: one.totals.reconnects),
    (
        "stalls",
        "How often frames stayed away while a camera was connected.",
        lambda one: one.totals.stalls,
    ),
)

_LABELED_GAUGES: tuple[_Labeled, ...] = (
    (
        "camera_state",
        "1 for the state that a camera is in.",
        "state",
        lambda one: {name: float(one.state == name) for name in STATES},
    ),
)

_LABELED_COUNTERS: tuple[_Labeled, ...] = (
    (
        "frames_dropped",
        "Frames that were left out, with nothing wrong with them.",
        "reason",
        lambda one: {reason: one.totals.dropped[reason] for reason in REASONS},
    ),
    (
        "frames_lost",
        "Frames that the server failed on, by the class of the error.",
        "error",
        lambda one: one.totals.lost,
    ),
    (
        "sink_written",
        "Results that an output has written.",
        "sink",
        lambda one: {sink: counts.written for sink, counts in one.totals.sinks.items()},
    ),
    (
        "sink_dropped",
        "Results that an output was too slow for.",
        "sink",
        lambda one: {sink: counts.dropped for sink, counts in one.totals.sinks.items()},
    ),
    (
        "sink_failed",
        "Results that an output could not write.",
        "sink",
        lambda one: {sink: counts.failed for sink, counts in one.totals.sinks.items()},
    ),
)


class CameraMetrics(Collector):
    """Reads what the workers have told last: a scrape waits for none of them.

    Series of a camera end when it is removed.

    Args:
        service: whose cameras.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        with self._service.cameras() as cameras:
            seen = [_Seen.of(name, camera) for name, camera in cameras.items()]
            stages = self._service.stages_of_removed
        yield GaugeMetricFamily(
            f"{PREFIX}cameras", "Cameras that the service knows, paused ones too.", value=len(seen)
        )
        yield from (_labeled(GaugeMetricFamily, one, seen) for one in _LABELED_GAUGES)
        yield from (_plain(GaugeMetricFamily, one, seen) for one in _GAUGES)
        yield from (_plain(CounterMetricFamily, one, seen) for one in _COUNTERS)
        yield from (_labeled(CounterMetricFamily, one, seen) for one in _LABELED_COUNTERS)
        yield _ages(seen)
        yield _stages(seen, stages)


_Kind = type[GaugeMetricFamily] | type[CounterMetricFamily]


def _plain(kind: _Kind, metric: _Plain, seen: Sequence[_Seen]) -> Metric:
    name, words, value_of = metric
    family = kind(PREFIX + name, words, labels=("camera",))
    for one in seen:
        if (value := value_of(one)) is not None:
            family.add_metric((one.name,), value)
    return family


def _labeled(kind: _Kind, metric: _Labeled, seen: Sequence[_Seen]) -> Metric:
    name, words, label, values_of = metric
    family = kind(PREFIX + name, words, labels=("camera", label))
    for one in seen:
        for label_value, value in values_of(one).items():
            family.add_metric((one.name, label_value), value)
    return family


def _ages(seen: Sequence[_Seen]) -> Metric:
    ages = HistogramMetricFamily(
        f"{PREFIX}frame_age_seconds",
        "From decoding a frame until its objects were known and followed.",
        labels=("camera",),
    )
    for one in seen:
        durations = one.totals.result_ages
        ages.add_metric((one.name,), buckets(durations), durations.total_s)
    return ages


def _stages(seen: Sequence[_Seen], of_removed: StageTimer) -> Metric:
    stages = HistogramMetricFamily(
        f"{PREFIX}stage_seconds",
        "What a frame took in a stage, all cameras together; decode contains the wait for it.",
        labels=("stage",),
    )
    timer = reduce(StageTimer.__add__, (one.totals.timer for one in seen), of_removed)
    for stage in STAGES:
        stages.add_metric((stage,), buckets(timer[stage]), timer[stage].total_s)
    return stages
