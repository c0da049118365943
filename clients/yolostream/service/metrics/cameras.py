"""Metrics of the cameras and of what is done with their frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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

from yolostream.pipeline.status import Drop, SinkCounts, State, Status
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
        yield from _states(seen)
        yield from _frames(seen)
        yield _ages(seen)
        yield _stages(seen, stages)
        yield from _sinks(seen)


def _states(seen: list[_Seen]) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        f"{PREFIX}cameras", "Cameras that the service knows, paused ones too.", value=len(seen)
    )
    state = GaugeMetricFamily(
        f"{PREFIX}camera_state", "1 for the state that a camera is in.", labels=("camera", "state")
    )
    for one in seen:
        for name in STATES:
            state.add_metric((one.name, name), float(one.state == name))
    yield state
    yield _gauge(
        "camera_up",
        "Whether frames of a camera come.",
        ((one.name, float(one.state == "live")) for one in seen),
    )
    yield _gauge(
        "last_frame_timestamp_seconds",
        "Unix time at which the newest frame with a result was decoded.",
        (
            (one.name, one.status.latest_captured_at)
            for one in seen
            if one.status.latest_captured_at
        ),
    )
    yield _gauge(
        "frame_age_limit_seconds",
        "Age after which a frame is not worth sending any more, as it was set.",
        ((one.name, one.oldest_s) for one in seen),
    )
    yield _gauge(
        "objects",
        "Objects in the newest frame with a result.",
        ((one.name, one.status.latest_objects) for one in seen),
    )
    yield _gauge(
        "viewers",
        "Viewers of a camera's live video.",
        ((one.name, one.viewers) for one in seen),
    )


def _frames(seen: list[_Seen]) -> Iterator[Metric]:
    yield _counter(
        "frames_decoded",
        "Frames that were decoded.",
        ((one.name, one.totals.frames_read) for one in seen),
    )
    yield _counter(
        "frames_submitted",
        "Frames that were sent to the server.",
        ((one.name, one.totals.frames_sent) for one in seen),
    )
    yield _counter(
        "frames_completed",
        "Frames whose objects were found.",
        ((one.name, one.totals.frames_done) for one in seen),
    )
    dropped = CounterMetricFamily(
        f"{PREFIX}frames_dropped",
        "Frames that were left out, with nothing wrong with them.",
        labels=("camera", "reason"),
    )
    lost = CounterMetricFamily(
        f"{PREFIX}frames_lost",
        "Frames that the server failed on, by the class of the error.",
        labels=("camera", "error"),
    )
    for one in seen:
        for reason in REASONS:
            dropped.add_metric((one.name, reason), one.totals.dropped[reason])
        for error, count in one.totals.lost.items():
            lost.add_metric((one.name, error), count)
    yield dropped
    yield lost
    yield _counter(
        "reconnects",
        "How often a camera was opened again.",
        ((one.name, one.totals.reconnects) for one in seen),
    )
    yield _counter(
        "stalls",
        "How often frames stayed away while a camera was connected.",
        ((one.name, one.totals.stalls) for one in seen),
    )


def _ages(seen: list[_Seen]) -> Metric:
    ages = HistogramMetricFamily(
        f"{PREFIX}frame_age_seconds",
        "From decoding a frame until its objects were known and followed.",
        labels=("camera",),
    )
    for one in seen:
        durations = one.totals.result_ages
        ages.add_metric((one.name,), buckets(durations), durations.total_s)
    return ages


def _stages(seen: list[_Seen], of_removed: StageTimer) -> Metric:
    stages = HistogramMetricFamily(
        f"{PREFIX}stage_seconds",
        "What a frame took in a stage, all cameras together; decode contains the wait for it.",
        labels=("stage",),
    )
    timer = reduce(StageTimer.__add__, (one.totals.timer for one in seen), of_removed)
    for stage in STAGES:
        stages.add_metric((stage,), buckets(timer[stage]), timer[stage].total_s)
    return stages


def _sinks(seen: list[_Seen]) -> Iterator[Metric]:
    said = {
        "written": "Results that an output has written.",
        "dropped": "Results that an output was too slow for.",
        "failed": "Results that an output could not write.",
    }
    for what, words in said.items():
        family = CounterMetricFamily(f"{PREFIX}sink_{what}", words, labels=("camera", "sink"))
        for one in seen:
            for sink, counts in one.totals.sinks.items():
                family.add_metric((one.name, sink), _count(counts, what))
        yield family


def _count(counts: SinkCounts, what: str) -> int:
    count: int = getattr(counts, what)
    return count


def _gauge(name: str, words: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, words, labels=("camera",))
    for camera, value in values:
        family.add_metric((camera,), value)
    return family


def _counter(name: str, words: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, words, labels=("camera",))
    for camera, value in values:
        family.add_metric((camera,), value)
    return family
