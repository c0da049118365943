"""The most cameras at 30 frames/s that a service follows without leaving out or delaying frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loadtest.clips import CAMERA_FPS, material
from loadtest.endtoend.plan import EDGE, WARM_UP_S
from loadtest.errors import LoadTestError
from loadtest.live.running import Setting
from loadtest.live.scrape import Window
from loadtest.result_file import say
from loadtest.search import Bound, most

BOUND = Bound(CAMERA_FPS, latency_s=0.15, left_out=0.001)
"""A thousandth may be left out, because a hiccup of the machine does not mean that it is full."""
BAR = 48
START_S = 60.0
"""The longest time that opening all cameras takes."""


def measure(setting: Setting, *, numbers: Sequence[int]) -> dict[str, Any]:
    """Search for the most cameras that hold the bound.

    Args:
        setting: How it is measured.
        numbers: Numbers of cameras to try.

    Returns:
        `material`, what the cameras show; `runs`, with their `cameras`, what `figures_of` returns,
        and `breaks`, why a run does not hold; `most`; and the `bar`.
    """
    runs: list[dict[str, Any]] = []
    # A clip that ends is opened again. Real cameras stay open, so the clips are long.
    clips = material(
        setting.raw / "clips",
        frames=round((START_S + WARM_UP_S + setting.seconds) * CAMERA_FPS),
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
    }


def figures_of(seen: Window, cameras: int, seconds: float, spent_s: float) -> dict[str, Any]:
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
