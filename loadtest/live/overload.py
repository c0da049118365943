"""Three times the cameras that fit: who gets how much, how old frames become, and what is told."""

from __future__ import annotations

import math
from typing import Any

from yolostream.pipeline.plan import MAX_AGE_S

from loadtest.gpu.rows import CAMERA_FPS
from loadtest.live import clips
from loadtest.live.running import Setting, running
from loadtest.live.scrape import Window, fairness

FACTOR = 3
FAIRNESS = 0.8
_PROBE = 2
"""Cameras that show what a server without a GPU can take: it cannot take them."""
_WARM_UP_FRAMES = 30


def measure(setting: Setting, *, fits: int | None) -> dict[str, Any]:
    """Find out what fits, unless that is known, and overload the service.

    Args:
        setting: What.
        fits: Cameras at 30 frames/s that the machine takes.

    Returns:
        `fits`, in frames per second where it was found out; `cameras`; and `figures_of` them.
    """
    with setting.serving() as target:

        def window(cameras: int) -> Window:
            log = setting.raw / f"overload-{cameras}.log"
            with running(
                clips.of(cameras), url=target.url, model=setting.model, log=log
            ) as service:
                service.wait_for_frames(cameras, frames=_WARM_UP_FRAMES)
                return service.window(setting.seconds)

        rate = fits * CAMERA_FPS if fits else _rate(window(_PROBE), setting.seconds)
        cameras = max(_PROBE, math.ceil(FACTOR * rate / CAMERA_FPS))
        seen = window(cameras)
    return {
        "fits_frames_per_s": round(rate, 1),
        "cameras": cameras,
        **figures_of(seen, setting.seconds),
    }


def figures_of(seen: Window, seconds: float) -> dict[str, Any]:
    """What an overloaded service did.

    Returns:
        `frames_per_s` that were completed; `each`, of each camera; `fairness`, least over most;
        `age_ms`; `request_ms`, the mean time from sending a frame to its answer; `age_bar_ms`, the
        staleness budget and one answer; `dropped`, by cause; and `unaccounted` frames.
    """
    completed = seen.frames("completed")
    submitted, decoded = seen.frames("submitted"), seen.frames("decoded")
    dropped = _dropped(seen)
    answer_s = _mean_stage_s(seen, "request")
    not_sent = sum(count for cause, count in dropped.items() if cause != "server_unavailable")
    return {
        "frames_per_s": round(_rate(seen, seconds), 1),
        "each": {camera: round(count / seconds, 1) for camera, count in completed.items()},
        "fairness": round(fairness(completed), 3),
        "age_ms": seen.ages_ms(),
        "request_ms": round(1000 * answer_s, 1),
        "age_bar_ms": round(1000 * (MAX_AGE_S + answer_s), 1),
        "dropped": dropped,
        "unaccounted": sum(decoded.values()) - sum(submitted.values()) - not_sent,
    }


def _rate(seen: Window, seconds: float) -> float:
    return sum(seen.frames("completed").values()) / seconds


def _dropped(seen: Window) -> dict[str, float]:
    counts: dict[str, float] = {}
    for sign, scrape in ((1, seen.after), (-1, seen.before)):
        for labels, value in scrape.values.get("frames_dropped_total", {}).items():
            cause = dict(labels)["reason"]
            counts[cause] = counts.get(cause, 0.0) + sign * value
    return counts


def _mean_stage_s(seen: Window, stage: str) -> float:
    key = (("stage", stage),)
    seconds, count = (
        seen.after.values[f"stage_seconds_{what}"][key]
        - seen.before.values[f"stage_seconds_{what}"][key]
        for what in ("sum", "count")
    )
    return seconds / max(1.0, count)
