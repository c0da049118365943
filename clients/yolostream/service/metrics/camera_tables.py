"""What is measured of each camera: the name of a metric, its meaning, and where its value is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

from yolostream.pipeline.status import Drop, State, Status
from yolostream.service.camera import Camera

STATES: tuple[str, ...] = (*get_args(State), "disabled")
"""What a camera can be at; see `yolostream.pipeline.status.State`."""

REASONS: tuple[Drop, ...] = ("superseded", "stale", "server_unavailable")
"""Why frames are left out. What was too much for an output is told by output."""


@dataclass(frozen=True)
class Seen:
    """A camera at the moment of a scrape."""

    name: str
    state: str
    status: Status
    totals: Status
    viewers: int
    oldest_s: float
    """Frames that are older are not sent."""

    @classmethod
    def of(cls, name: str, camera: Camera) -> Seen:
        """Its figures as they are now."""
        return cls(
            name,
            camera.state,
            camera.status,
            camera.totals.figures(),
            camera.audience.viewers,
            camera.task.job.max_age_s,
        )


Plain = tuple[str, str, Callable[[Seen], float | None]]
"""Name, meaning and value of a metric with one series a camera, or none where there is no value."""

Labeled = tuple[str, str, str, Callable[[Seen], Mapping[str, float]]]
"""Name, meaning, label and values of a metric with a series for each value of the label."""

GAUGES: tuple[Plain, ...] = (
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
        "How often frames stayed away while a camera was connected.",
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
