"""How old frames are when their objects are known, of one camera that a CPU keeps up with."""

from __future__ import annotations

from typing import Any

from loadtest.live import clips
from loadtest.live.running import Setting, running

RATE = 5
"""Frames per second."""
WARM_UP_S = 3.0
BAR_MS = 400.0


def measure(setting: Setting) -> dict[str, Any]:
    """Watch one camera.

    Returns:
        `frames`, `dropped`, `age_ms` with `p50` and `p99`, and the `bar_ms` of the latter.
    """
    setting.raw.mkdir(parents=True, exist_ok=True)
    clip = clips.slower(clips.CLIPS[0], setting.raw / f"{RATE}-fps.mp4", rate=RATE)
    with (
        setting.serving() as target,
        running(
            [clip], url=target.url, model=setting.model, log=setting.raw / "age.log"
        ) as service,
    ):
        service.wait_for_frames(1, frames=round(WARM_UP_S * RATE))
        seen = service.window(setting.seconds)
    return {
        "frames_per_s": RATE,
        "frames": sum(seen.frames("completed").values()),
        "dropped": sum(seen.frames("dropped").values()),
        "age_ms": seen.ages_ms(),
        "bar_ms": BAR_MS,
    }
