"""Disconnect cameras a thousand times, and measure whether the process grows.

    PYTHONPATH=tests python -m tests.faults.reconnects --times 1000

The process that is measured runs the cameras, the fault proxies and the pipeline. The exit code is
1 if it grew by more than 20 MB after the first tenth of the reconnects.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil
from clips import steps, write_clip
from fault_proxy import FaultProxy, fault_proxy
from instant import MODEL, serve_instant
from rtsp_camera import rtsp_camera
from yolostream import Detector
from yolostream.outputs.results import Results
from yolostream.pipeline.job import Job
from yolostream.pipeline.status import Status
from yolostream.pipeline.supervision import Limits
from yolostream.pipeline.worker_process import run_here
from yolostream.sources import find_sources

MOST_MB = 20
RATE = 15
# Short waits, because the times of reconnects are not measured here.
HASTY = Limits(stale_after_s=30, wait_s=(0.01, 0.01))


@dataclass(frozen=True)
class Size:
    reconnects: int
    megabytes: float
    threads: int
    descriptors: int


def size(reconnects: int) -> Size:
    process = psutil.Process()
    megabytes = process.memory_info().rss / 1e6
    return Size(reconnects, round(megabytes, 1), threading.active_count(), process.num_fds())


class Breaker:
    """Disconnects every camera as soon as it has given frames, a number of times.

    Attempts to open a camera that failed are not counted.
    """

    def __init__(self, proxies: list[FaultProxy], times: int) -> None:
        self.sizes: list[Size] = []
        self.done = 0
        self._proxies = proxies
        self._times = times
        self._frames = [0] * len(proxies)

    def is_over(self) -> bool:
        return self.done >= self._times

    def tick(self, statuses: list[Status]) -> None:
        for n, (proxy, status) in enumerate(zip(self._proxies, statuses, strict=True)):
            if proxy.mode == "close":
                proxy.mode = "forward"
            elif status.frames_done > self._frames[n] + 2:
                self._frames[n] = status.frames_done
                proxy.mode = "close"
                self.done += 1
        if self.done >= len(self.sizes) * self._times / 10:
            self.sizes.append(size(self.done))
            print(self.sizes[-1], flush=True)


def reconnect(times: int, folder: Path, *, cameras: int = 8) -> list[Size]:
    """Make cameras reconnect `times` times in all; return the sizes of the process meanwhile."""
    clip = write_clip(folder / "cam.mp4", steps(15), rate=RATE)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serve_instant())
        camera = stack.enter_context(rtsp_camera({"cam": clip}))
        proxies = [stack.enter_context(fault_proxy(camera.url)) for _ in range(cameras)]
        sources, _ = find_sources([proxy.url for proxy in proxies])
        job = Job(Results(folder, frozenset({"jsonl"})), limits=HASTY)
        detector = stack.enter_context(Detector(server.url, MODEL))
        breaker = Breaker(proxies, times)
        statuses = run_here(
            sources, job, detector, {}, should_stop=breaker.is_over, on_tick=breaker.tick
        )
        for status in statuses:
            assert not status.errors, status.errors
            assert not status.abandoned_readers
    return breaker.sizes


def growth_mb(sizes: list[Size]) -> float:
    """Megabytes by which the process grew after the first tenth."""
    warm = sizes[1:]
    return max(one.megabytes for one in warm) - warm[0].megabytes


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.reconnects", description=__doc__)
    parser.add_argument("--times", type=int, default=1000)
    options = parser.parse_args()
    logging.getLogger("yolostream").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        sizes = reconnect(options.times, Path(folder))
    grown = growth_mb(sizes)
    print(f"{sizes[-1].reconnects} reconnects: {grown:+.1f} MB since the {sizes[1].reconnects}th")
    sys.exit(1 if grown > MOST_MB else 0)


if __name__ == "__main__":
    main()
