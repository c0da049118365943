"""The metrics of each camera: names, help texts, and where the values come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

from yolostream.pipeline.status import Drop, State, Status
from yolostream.service.camera import Camera

STATES: tuple[str, ...] = (*get_args(State), "disabled")
"""The states of a camera; see `yolostream.pipeline.status.State`."""

REASONS: tuple[Drop, ...] = ("superseded", "stale", "server_unavailable")
"""Why frames are dropped. Results that an output was too slow for are counted for the output."""


@dataclass(frozen=True)
class Seen:
    """The figures of a camera at the time of a scrape."""

    name: str
    state: str
    status: Status
    totals: Status
    viewers: int
    max_age_s: float
    """Age in seconds above which its frames are not sent to the server."""

    @classmethod
    def of(cls, name: str, camera: Camera) -> Seen:
        """The present figures of a camera."""
        return cls(
            name,
            camera.state,
            camera.status,
            camera.totals.figures(),
            camera.audience.viewers,
            camera.task.job.max_age_s,
        )


Plain = tuple[str, str, Callable[[Seen], float | None]]
"""Name, help text and value of a metric with one series for each camera that has a value."""

Labeled = tuple[str, str, str, Callable[[Seen], Mapping[str, float]]]
"""Name, help text, label and values of a metric with a series for each camera and label value."""

GAUGES: tuple[Plain, ...] = (
    ("camera_up", "Whether frames of a camera arrive.", lambda one: float(one.state == "live")),
    (
        "last_frame_timestamp_seconds",
        "Unix time at which the newest frame with a result was decoded.",
        lambda one: one.status.latest_captured_at or None,
    ),
    (
        "frame_age_limit_seconds",
        "Configured age above which a frame is not sent to the server.",
        lambda one: one.max_age_s,
    ),
    (
        "objects",
        "Objects in the newest frame with a result.",
        lambda one: one.status.latest_objects,
    ),
    ("viewers", "Viewers of a camera's live video.", lambda one: one.viewers),
)

COUNTERS: tuple[Plain, ...] = (
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
        "How often no frames arrived although a camera was connected.",
        lambda one: one.totals.stalls,
    ),
)

LABELED_GAUGES: tuple[Labeled, ...] = (
    (
        "camera_state",
        "1 for the state that a camera is in.",
        "state",
        lambda one: {name: float(one.state == name) for name in STATES},
    ),
)

LABELED_COUNTERS: tuple[Labeled, ...] = (
    (
        "frames_dropped",
        "Frames that were dropped, by reason.",
        "reason",
        lambda one: {reason: one.totals.dropped[reason] for reason in REASONS},
    ),
    (
        "frames_lost",
        "Frames for which the server returned an error, by the class of the error.",
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
        "Results that were dropped because an output was too slow.",
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
