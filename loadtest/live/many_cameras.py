"""What is measured with many cameras: how many a service follows, and what too many of them do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from yolostream.pipeline.plan import MAX_AGE_S

from loadtest.clips import CAMERA_FPS, DEMO, material
from loadtest.endtoend.plan import EDGE, WARM_UP_S
from loadtest.errors import LoadTestError
from loadtest.live.running import Setting
from loadtest.live.scrape import Scrape
from loadtest.result_file import say
from loadtest.search import Bound, most

BOUND = Bound(CAMERA_FPS, latency_s=0.15, left_out=0.001)
"""A thousandth may be left out, because a hiccup of the machine does not mean that it is full."""
BAR = 48
_START_S = 60.0
"""The longest time that opening all cameras takes."""

_FACTOR = 3
_PROBE = 2
"""Cameras that find out what a server without a GPU can do: two are too many for it."""
_WARM_UP_FRAMES = 30


def capacity(setting: Setting, *, numbers: Sequence[int]) -> dict[str, Any]:
    """Search for the most cameras at 30 frames/s that hold the bound.

    Args:
        setting: How it is measured.
        numbers: Numbers of cameras to try.

    Returns:
        `material`, what the cameras show; `runs`, with their `cameras`, what `capacity_figures`
        returns, and `breaks`, why a run does not hold; `most`; and the `bar`.
    """
    runs: list[dict[str, Any]] = []
    # A clip that ends is opened again. Real cameras stay open, so the clips are long.
    clips = material(
        setting.raw / "clips",
        frames=round((_START_S + WARM_UP_S + setting.seconds) * CAMERA_FPS),
        full_hd=setting.on_gpu,
    )

    def holds(cameras: int) -> bool:
        run: dict[str, Any] = {"cameras": cameras}
        try:
            with setting.running(clips.of(cameras), name=f"capacity-{cameras}") as service:
                service.wait_for_frames(cameras, frames=round(WARM_UP_S * CAMERA_FPS))
                spent_s = service.cpu_s()
                seen = service.window(setting.seconds)
                spent_s = service.cpu_s() - spent_s
            run |= capacity_figures(seen, cameras, setting.seconds, spent_s)
        except LoadTestError as error:
            run["breaks"] = str(error)
        runs.append(run)
        say(f"{cameras} cameras: {run}")
        return not run["breaks"]

    return {
        "most": most(holds, numbers, edge=EDGE),
        "material": clips.words,
        "runs": runs,
        "bar": BAR,
        "age_p99_bar_ms": 1000 * BOUND.latency_s,
    }


def capacity_figures(seen: Scrape, cameras: int, seconds: float, spent_s: float) -> dict[str, Any]:
    """The figures of a run.

    Returns:
        `frames_per_s` of all cameras; `dropped` and `lost` frames; `age_ms`; `cores` that the
        service used; and `breaks`, why the cameras do not hold the bound, or nothing.
    """
    rate = seen.total("frames_completed_total") / seconds
    dropped, lost = seen.total("frames_dropped_total"), seen.total("frames_lost_total")
    breaks = BOUND.broken_by(
        1000 * seen.age_s(0.99),
        left_out=dropped,
        frames=seen.total("frames_decoded_total"),
        frames_per_s_each=rate / cameras,
    )
    return {
        "frames_per_s": round(rate, 1),
        "dropped": dropped,
        "lost": lost,
        "age_ms": seen.ages_ms(),
        "cores": round(spent_s / seconds, 2),
        "breaks": f"{lost:g} frames lost" if lost else breaks,
    }


def overload(setting: Setting, *, fits: int | None) -> dict[str, Any]:
    """Run three times the cameras that a service can follow.

    Args:
        setting: How it is measured.
        fits: Cameras at 30 frames/s that the machine can follow; None finds it out.

    Returns:
        `fits_frames_per_s`; `cameras`; and what `overload_figures` returns.
    """

    def window(cameras: int) -> Scrape:
        with setting.running(DEMO.of(cameras), name=f"overload-{cameras}") as service:
            service.wait_for_frames(cameras, frames=_WARM_UP_FRAMES)
            return service.window(setting.seconds)

    if fits:
        rate = float(fits * CAMERA_FPS)
    else:
        rate = window(_PROBE).total("frames_completed_total") / setting.seconds
    cameras = max(_PROBE, math.ceil(_FACTOR * rate / CAMERA_FPS))
    return {
        "fits_frames_per_s": round(rate, 1),
        "cameras": cameras,
        **overload_figures(window(cameras), setting.seconds),
    }


def overload_figures(seen: Scrape, seconds: float) -> dict[str, Any]:
    """The figures of an overloaded service.

    Returns:
        `frames_per_s` that were completed; `each`, of each camera; `fairness`, the least of these
        over the most; `age_ms`; `request_ms`, the mean time from sending a frame to its answer;
        `age_bar_ms`, the staleness budget and one answer; and `dropped` frames, by cause.
    """
    completed = seen.by_camera("frames_completed_total")
    request_s, requests = (
        seen.by("stage", f"stage_seconds_{what}")["request"] for what in ("sum", "count")
    )
    answer_s = request_s / max(1.0, requests)
    return {
        "frames_per_s": round(sum(completed.values()) / seconds, 1),
        "each": {camera: round(count / seconds, 1) for camera, count in completed.items()},
        "fairness": round(min(completed.values()) / max(1.0, *completed.values()), 3),
        "age_ms": seen.ages_ms(),
        "request_ms": round(1000 * answer_s, 1),
        "age_bar_ms": round(1000 * (MAX_AGE_S + answer_s), 1),
        "dropped": seen.by("reason", "frames_dropped_total"),
    }
