"""Let `yolostream run` live with faults, one every half a minute.

    PYTHONPATH=tests python -m tests.faults.live --minutes 60

Hurt are, in a random order: a camera, which is switched off or hangs; tritonserver; a process of
each step; and a worker of the service. Beside it a client compares every answer of the server.
Ends with 1 if a camera did not come back, a box was wrong, or memory or open files grew.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rtsp_camera import Camera, rtsp_camera

from loadtest.live import clips
from loadtest.live.running import Running, running
from loadtest.live.scrape import Scrape
from loadtest.live.table import table
from loadtest.repository import RESULTS_FOLDER
from loadtest.result_file import writing
from tests.faults.service import STEPS, Service, new_detector, serving
from tests.faults.traffic import Traffic, different_frames

RATE = 2
"""Frames per second of each camera: half the work of two cores."""
SAMPLE_S = 5.0
AWAY_S = 3.0
HANGS_S = 7.0
"""Longer than a camera may be silent."""
PATIENCE_S = 300.0
GROWTH = 1.03
TENTHS = 10


@dataclass
class Seen:
    """What was seen of a run."""

    samples: list[dict[str, float]] = field(default_factory=list)
    outages_s: dict[str, list[float]] = field(default_factory=dict)
    """From a fault to frames of every camera, by fault."""
    lost_for_good: list[str] = field(default_factory=list)


def sample(scrape: Scrape) -> dict[str, float]:
    """Memory in MB and open files of the service's processes."""
    return {
        "parent_mb": scrape.total("process_resident_memory_bytes") / 1e6,
        "workers_mb": scrape.total("worker_resident_memory_bytes") / 1e6,
        "parent_files": scrape.total("process_open_fds"),
        "workers_files": scrape.total("worker_open_fds"),
    }


def growth(values: Sequence[float]) -> float:
    """The median of the last tenth over that of the second one: at first everything grows."""
    tenth = max(1, len(values) // TENTHS)
    return statistics.median(values[-tenth:]) / statistics.median(values[tenth : 2 * tenth])


def faults(service: Service, live: Running, camera: Camera) -> dict[str, Callable[[], None]]:
    """What may be done, by name."""

    def unplug() -> None:
        camera.stop()
        time.sleep(AWAY_S)
        camera.start()

    def hang() -> None:
        camera.freeze()
        time.sleep(HANGS_S)
        camera.resume()

    def kill_a_worker() -> None:
        workers = psutil.Process(live.pid).children()
        os.kill(random.choice([one.pid for one in workers if _works(one)]), signal.SIGKILL)

    def kill(part: str) -> Callable[[], None]:
        return lambda: os.kill(service.processes(part)[0], signal.SIGKILL)

    parts = {part: kill(part) for part in ("tritonserver", *STEPS)}
    return {"camera unplugged": unplug, "camera hangs": hang, "worker": kill_a_worker, **parts}


def _works(process: psutil.Process) -> bool:
    return "spawn_main" in " ".join(process.cmdline())


def wait_for_all(live: Running) -> list[str]:
    """Wait until every camera gives frames again; those that do not."""
    before = live.scrape().by_camera("frames_completed_total")
    deadline = time.monotonic() + PATIENCE_S
    while True:
        now = live.scrape().by_camera("frames_completed_total")
        missing = [camera for camera, count in now.items() if count < before[camera] + 4]
        if not missing or time.monotonic() > deadline:
            return missing
        time.sleep(0.2)


def endure(
    live: Running, hurt: dict[str, Callable[[], None]], *, minutes: float, every_s: float, seed: int
) -> Seen:
    """Hurt somebody again and again."""
    seen, plan = Seen(), _plan(sorted(hurt), seed)
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        due = min(end, time.monotonic() + every_s)
        while (left := due - time.monotonic()) > 0:
            time.sleep(min(SAMPLE_S, left))
            seen.samples.append(sample(live.scrape()))
        victim, started = next(plan), time.monotonic()
        hurt[victim]()
        missing = wait_for_all(live)
        seen.lost_for_good += missing
        seen.outages_s.setdefault(victim, []).append(round(time.monotonic() - started, 1))
        print(
            f"{victim}: well after {seen.outages_s[victim][-1]} s; {seen.samples[-1]}", flush=True
        )
    return seen


def _plan(names: Sequence[str], seed: int) -> Iterator[str]:
    chance = random.Random(seed)
    while True:
        yield from chance.sample(names, len(names))


def figures_of(seen: Seen, traffic: Traffic, live: Running, minutes: float) -> dict[str, Any]:
    last = live.scrape()
    return {
        "minutes": minutes,
        "faults": sum(len(times) for times in seen.outages_s.values()),
        "outages_s": seen.outages_s,
        "growth": {
            name: round(growth([one[name] for one in seen.samples]), 3) for name in seen.samples[0]
        },
        "growth_bar": GROWTH,
        "first": seen.samples[0],
        "last": seen.samples[-1],
        "lost_for_good": seen.lost_for_good,
        "right_answers": traffic.right,
        "wrong_answers": len(traffic.wrong),
        "errors": dict(traffic.errors),
        "frames": last.total("frames_completed_total"),
        "worker_restarts": last.total("worker_restarts_total"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.live", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=30, help="seconds between two faults")
    parser.add_argument("--only", action="append", help="this fault, and no other")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS_FOLDER / "live_endurance.json")
    options = parser.parse_args()

    with (
        writing(options.output, tool="tests.faults.live") as figures,
        tempfile.TemporaryDirectory(prefix="live-") as name,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(name)
        slow = [clips.slower(path, folder / f"{path.stem}.mp4", rate=RATE) for path in clips.CLIPS]
        service = stack.enter_context(serving())
        detector = stack.enter_context(new_detector(service.url, timeout_s=20.0))
        frames = different_frames(detector)
        camera = stack.enter_context(rtsp_camera(slow[0]))
        cameras = [*slow, camera.url]
        live = stack.enter_context(running(cameras, url=service.url, log=folder / "live.log"))
        live.wait_for_frames(len(cameras))
        traffic = stack.enter_context(Traffic(detector, frames, threads=1, frames_per_s=1))
        hurt = faults(service, live, camera)
        seen = endure(
            live,
            {fault: hurt[fault] for fault in options.only or hurt},
            minutes=options.minutes,
            every_s=options.every,
            seed=options.seed,
        )
        figures |= figures_of(seen, traffic, live, options.minutes)
    print(table({"endurance": figures}))
    well = max(figures["growth"].values()) <= GROWTH and not figures["lost_for_good"]
    sys.exit(0 if well and not figures["wrong_answers"] else 1)


if __name__ == "__main__":
    main()
