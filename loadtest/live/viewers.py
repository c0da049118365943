"""What it costs that somebody watches a camera, and that many do."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from loadtest.errors import LoadTestError
from loadtest.live import clips
from loadtest.live.running import Running, Setting, running
from loadtest.live.scrape import Window

MANY = 20
BAR = 0.15
"""Of a core."""
_WARM_UP_FRAMES = 60


def measure(setting: Setting) -> dict[str, Any]:
    """Watch one camera of 1280x720 at 30 frames/s with none, one and many viewers.

    Returns:
        `model`; `runs` by number of viewers, see `figures_of`; `one_viewer` and `many_viewers`,
        cores that they take over none; `encoding_ratio`, the worker's cost of many viewers over
        that of one, which is 1 where their video is encoded once; and the `bar` of one viewer.
    """
    runs = {}
    with (
        setting.serving() as target,
        running(
            [clips.CLIPS[0]],
            url=target.url,
            model=setting.model,
            log=setting.raw / "viewers.log",
        ) as service,
    ):
        service.wait_for_frames(1, frames=_WARM_UP_FRAMES)
        for number in (0, 1, MANY):
            # The list is filled when they leave.
            with _watching(service, number) as pieces:
                seen = service.window(setting.seconds)
            runs[str(number)] = figures_of(seen, setting.seconds, pieces)
    none, one, many = (runs[str(number)] for number in (0, 1, MANY))
    encoding = [run["worker_cores"] - none["worker_cores"] for run in (one, many)]
    return {
        "model": setting.model,
        "runs": runs,
        "one_viewer": round(one["cores"] - none["cores"], 3),
        "many_viewers": round(many["cores"] - none["cores"], 3),
        "encoding_ratio": round(encoding[1] / max(0.001, encoding[0]), 2),
        "bar": BAR,
    }


def figures_of(seen: Window, seconds: float, pieces: list[int]) -> dict[str, Any]:
    """What a number of viewers comes to.

    Returns:
        `frames_per_s` of the camera; `cores` that parent and worker took, and `worker_cores`;
        `pieces_per_s`, of video, that the viewer got who got least.
    """
    parent, worker = (
        (seen.after.total(name) - seen.before.total(name)) / seconds
        for name in ("process_cpu_seconds_total", "worker_cpu_seconds_total")
    )
    return {
        "frames_per_s": round(sum(seen.frames("completed").values()) / seconds, 1),
        "cores": round(parent + worker, 3),
        "worker_cores": round(worker, 3),
        "pieces_per_s": round(min(pieces) / seconds, 1) if pieces else 0.0,
    }


@contextlib.contextmanager
def _watching(service: Running, number: int) -> Iterator[list[int]]:
    """So many viewers inside of the block; the list has afterwards what each of them got."""
    pieces: list[int] = []
    if not number:
        yield pieces
        return
    (camera,) = service.scrape().by_camera("camera_up")
    command = [sys.executable, "-m", "loadtest.live.viewer_process"]
    with subprocess.Popen(
        [*command, service.address, camera, str(number)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise LoadTestError(f"{number} viewers get no video: see {service.log}")
            yield pieces
            told, _ = process.communicate()
            pieces += json.loads(told)
        finally:
            process.kill()
