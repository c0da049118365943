"""How many cameras at 30 frames/s are followed without frames left out or becoming old."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from loadtest.bound import Bound
from loadtest.endtoend.material import material
from loadtest.endtoend.plan import EDGE, WARM_UP_S
from loadtest.errors import LoadTestError
from loadtest.gpu.bench import say
from loadtest.gpu.profiles import PROFILES
from loadtest.gpu.rows import CAMERA_FPS
from loadtest.live.running import Setting, running
from loadtest.live.scrape import Window
from loadtest.search import most

BOUND = Bound(CAMERA_FPS, latency_s=0.15, left_out=0.001)
"""That a thousandth may be left out: a hiccup of the machine is no lack of room."""
BAR = 48
WITHIN_S = 200.0
"""No other number is tried after so many seconds."""
START_S = 60.0
"""The most that opening all cameras takes."""
_WARM_UP_FRAMES = round(WARM_UP_S * CAMERA_FPS)


def measure(setting: Setting, *, numbers: Sequence[int]) -> dict[str, Any]:
    """Search for the most cameras that hold.

    Args:
        setting: What.
        numbers: Of cameras to try.

    Returns:
        `runs`, each with its `cameras`, what `figures_of` says, and why it does not hold, if it
        does not; `material`, what the cameras show; `most`, and the `bar`.
    """
    runs: list[dict[str, Any]] = []
    # A clip that ends is opened again, which a camera that stays connected is not.
    clips = material(
        setting.raw / "clips",
        frames=round((START_S + WARM_UP_S + setting.seconds) * CAMERA_FPS),
        full_hd=PROFILES[setting.profile].on_gpu,
    )
    began = time.monotonic()

    with setting.serving() as target:

        def holds(cameras: int) -> bool:
            if runs and time.monotonic() - began > WITHIN_S:
                return False
            say(f"{cameras} cameras")
            run: dict[str, Any] = {"cameras": cameras}
            log = setting.raw / f"capacity-{cameras}.log"
            try:
                with running(
                    clips.of(cameras), url=target.url, model=setting.model, log=log
                ) as service:
                    service.wait_for_frames(cameras, frames=_WARM_UP_FRAMES)
                    spent_s = service.cpu_s()
                    seen = service.window(setting.seconds)
                    spent_s = service.cpu_s() - spent_s
                run |= figures_of(seen, cameras, setting.seconds, spent_s)
            except LoadTestError as error:
                run["breaks"] = str(error)
            runs.append(run)
            say(f"{cameras} cameras: {run}")
            return not run["breaks"]

        found = most(holds, numbers, edge=EDGE)
    return {
        "material": clips.words,
        "runs": runs,
        "most": found,
        "bar": BAR,
        "age_p99_bar_ms": 1000 * BOUND.latency_s,
        "out_of_time": time.monotonic() - began > WITHIN_S,
    }


def figures_of(seen: Window, cameras: int, seconds: float, spent_s: float) -> dict[str, Any]:
    """What a run came to.

    Returns:
        `frames_per_s`, of all; `dropped` and `lost` frames; `age_ms`; `cores` that the service
        took; and `breaks`, why it does not hold, or nothing.
    """
    completed, decoded = (sum(seen.frames(what).values()) for what in ("completed", "decoded"))
    dropped, lost = (
        seen.after.total(f"frames_{what}_total") - seen.before.total(f"frames_{what}_total")
        for what in ("dropped", "lost")
    )
    rate = completed / seconds
    breaks = BOUND.broken_by(
        1000 * seen.age_s(0.99),
        left_out=dropped,
        frames=decoded,
        frames_per_s_each=rate / cameras,
    )
    if lost:
        breaks = f"{lost:g} frames lost"
    return {
        "frames_per_s": round(rate, 1),
        "dropped": dropped,
        "lost": lost,
        "age_ms": seen.ages_ms(),
        "cores": round(spent_s / seconds, 2),
        "breaks": breaks,
    }
