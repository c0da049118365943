"""Three times the cameras that a service can follow: fairness, age, and dropped frames."""

from __future__ import annotations

import math
from typing import Any

from yolostream.pipeline.plan import MAX_AGE_S

from loadtest.clips import CAMERA_FPS, DEMO
from loadtest.live.running import Setting
from loadtest.live.scrape import Window, fairness

FACTOR = 3
_PROBE = 2
"""Cameras that find out what a server without a GPU can do: two are too many for it."""
_WARM_UP_FRAMES = 30


def measure(setting: Setting, *, fits: int | None) -> dict[str, Any]:
    """Overload a service.

    Args:
        setting: How it is measured.
        fits: Cameras at 30 frames/s that the machine can follow; None finds it out.

    Returns:
        `fits_frames_per_s`; `cameras`; and what `figures_of` returns.
    """

    def window(cameras: int) -> Window:
        with setting.running(DEMO.of(cameras), name=f"overload-{cameras}") as service:
            service.wait_for_frames(cameras, frames=_WARM_UP_FRAMES)
            return service.window(setting.seconds)

    rate = (
        fits * CAMERA_FPS
        if fits
        else window(_PROBE).total("frames_completed_total") / setting.seconds
    )
    cameras = max(_PROBE, math.ceil(FACTOR * rate / CAMERA_FPS))
    seen = window(cameras)
    return {
        "fits_frames_per_s": round(rate, 1),
        "cameras": cameras,
        **figures_of(seen, setting.seconds),
    }


def figures_of(seen: Window, seconds: float) -> dict[str, Any]:
    """The figures of an overloaded service.

    Returns:
        `frames_per_s` that were completed; `each`, of each camera; `fairness`; `age_ms`;
        `request_ms`, the mean time from sending a frame to its answer; `age_bar_ms`, the staleness
        budget and one answer; `dropped`, by cause; and `unaccounted` frames.
    """
    completed, dropped = seen.frames("completed"), seen.by("reason", "frames_dropped_total")
    request_s, requests = (
        seen.by("stage", f"stage_seconds_{what}")["request"] for what in ("sum", "count")
    )
    answer_s = request_s / max(1.0, requests)
    not_sent = sum(count for cause, count in dropped.items() if cause != "server_unavailable")
    left = seen.total("frames_decoded_total") - seen.total("frames_submitted_total") - not_sent
    return {
        "frames_per_s": round(sum(completed.values()) / seconds, 1),
        "each": {camera: round(count / seconds, 1) for camera, count in completed.items()},
        "fairness": round(fairness(completed), 3),
        "age_ms": seen.ages_ms(),
        "request_ms": round(1000 * answer_s, 1),
        "age_bar_ms": round(1000 * (MAX_AGE_S + answer_s), 1),
        "dropped": dropped,
        "unaccounted": left,
    }
