"""Run `yolostream run` for a long time with a fault every 30 s.

    PYTHONPATH=tests python -m tests.faults.live --minutes 60

It needs root to mount a small disk, which it fills. The faults, in a random order, affect the
camera, tritonserver and each of its steps, a worker, the disk with the results, and the
configuration. Two services share all of these. Only the worker of one service is killed; the other
worker shows the growth of a process over time. Another client's answers and all lines that the
services write are checked. The exit code is 1 if a camera did not recover, a box was wrong, or the
memory or the number of open files grew.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtsp_camera import rtsp_camera
from small_disk import small_disk

from loadtest import clips
from loadtest.live.table import section
from loadtest.repository import RESULTS_FOLDER
from loadtest.result_file import writing
from tests.faults.growth import BAR, Sample, growth, is_flat, lives, medians
from tests.faults.live_faults import GUEST, Faults, faults
from tests.faults.service import new_detector, serving
from tests.faults.site import Site, site, wait_until
from tests.faults.traffic import Traffic, different_frames
from tests.faults.written import by_number, by_pictures, compared, truth_of

RATE = 2
"""Frames per second of each camera, which take half of two cores."""
SAMPLE_S = 5.0
PATIENCE_S = 300.0
FRAMES = 4
"""After this many written frames, a camera counts as recovered."""
DISK_KB = 128 << 10
KILLED = "hurt worker"
"""The worker that is killed. Its growth is not judged, because it never runs for long."""


@dataclass
class Seen:
    """The observations of a run."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    """Samples of memory and open files, by process."""
    recovered_s: dict[str, list[float]] = field(default_factory=dict)
    """Seconds from the beginning of a fault until frames of every camera were written, by fault."""
    lost_for_good: list[str] = field(default_factory=list)
    """Cameras that did not recover, with the fault."""
    without_effect: list[str] = field(default_factory=list)
    """Faults that did not have the intended effect."""


@contextlib.contextmanager
def sampling(sites: Sequence[Site], seen: Seen) -> Iterator[None]:
    """Take samples of all processes at intervals until the block ends."""
    ended, began = threading.Event(), time.monotonic()

    def look() -> None:
        while not ended.wait(SAMPLE_S):
            for one in sites:
                for name, sample in one.samples(round(time.monotonic() - began, 1)):
                    seen.samples.setdefault(name, []).append(sample)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def wait_for_all(sites: Sequence[Site]) -> list[str]:
    """Wait until frames of every camera are written again; return the cameras that failed."""
    before = {one.name: one.progress() for one in sites}

    def missing() -> list[str]:
        return [
            f"{one.name} {camera}"
            for one in sites
            for camera, count in one.progress().items()
            if count < before[one.name][camera] + FRAMES
        ]

    with contextlib.suppress(TimeoutError):
        wait_until(lambda: not missing(), "all frames", patience_s=PATIENCE_S)
        return []
    return missing()


def endure(
    sites: Sequence[Site], hurt: Faults, seen: Seen, *, minutes: float, every_s: float, seed: int
) -> None:
    """Cause faults at intervals; if a recovery takes longer than that, the next fault follows."""
    plan, began = _plan(sorted(hurt), seed), time.monotonic()
    end = began + 60 * minutes
    due = began + every_s
    while due < end:
        time.sleep(max(0.0, due - time.monotonic()))
        due = max(due + every_s, time.monotonic())
        victim, started = next(plan), time.monotonic()
        try:
            hurt[victim]()
        except TimeoutError as error:
            seen.without_effect.append(f"{victim}: {error}")
        seen.lost_for_good += [f"{camera} ({victim})" for camera in wait_for_all(sites)]
        took_s = round(time.monotonic() - started, 1)
        seen.recovered_s.setdefault(victim, []).append(took_s)
        latest = {name: samples[-1].memory_mb for name, samples in seen.samples.items()}
        print(f"{time.monotonic() - began:.0f} s, {victim}: well after {took_s} s; {latest}")
        sys.stdout.flush()
    time.sleep(max(0.0, end - time.monotonic()))


def _plan(names: Sequence[str], seed: int) -> Iterator[str]:
    chance = random.Random(seed)
    while True:
        yield from chance.sample(names, len(names))


def figures_of(
    seen: Seen, traffic: Traffic, sites: Sequence[Site], minutes: float
) -> dict[str, Any]:
    scrapes = {one.name: one.live.scrape() for one in sites}
    old = {name: samples for name, samples in seen.samples.items() if name != KILLED}
    return {
        "minutes": minutes,
        "faults": sum(len(times) for times in seen.recovered_s.values()),
        "recovered_s": seen.recovered_s,
        "growth": {name: growth(samples, 60 * minutes) for name, samples in old.items()},
        "growth_bar": BAR,
        "tenths": {name: medians(samples, 60 * minutes) for name, samples in old.items()},
        "killed_workers": lives(seen.samples.get(KILLED, [])),
        "lost_for_good": seen.lost_for_good,
        "amiss": seen.without_effect,
        "right_answers": traffic.right,
        "wrong_answers": len(traffic.wrong),
        "errors": dict(traffic.errors),
        "frames": {
            name: scrape.total("frames_completed_total") for name, scrape in scrapes.items()
        },
        "worker_restarts": {
            name: scrape.total("worker_restarts_total") for name, scrape in scrapes.items()
        },
    }


def lines_of(disk: Path, truth: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The numbers of right and wrong lines that the services have written."""
    by_camera = {
        f"{name} {camera}": compared(disk / name / camera, judge())
        for name in names
        for camera, judge in truth.items()
    }
    return {
        "right_lines": sum(one.right for one in by_camera.values()),
        "wrong_lines": sum(len(one.wrong) for one in by_camera.values()),
        "torn_lines": sum(one.torn for one in by_camera.values()),
        "wrong_lines_first": {name: one.wrong[0] for name, one in by_camera.items() if one.wrong},
    }


def is_well(figures: dict[str, Any]) -> bool:
    """Whether all limits are met, and all faults had their intended effects."""
    wrong = ("lost_for_good", "amiss", "wrong_answers", "wrong_lines", "torn_lines")
    unharmed = not figures["worker_restarts"]["spared"]
    return is_flat(figures["growth"]) and unharmed and not any(figures[name] for name in wrong)


def options_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.live", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=30, help="seconds between two faults")
    parser.add_argument("--only", action="append", help="only faults whose name begins with this")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS_FOLDER / "live_endurance.json")
    return parser.parse_args()


def main() -> None:
    options = options_of()
    with (
        writing(options.output, tool="tests.faults.live") as figures,
        tempfile.TemporaryDirectory(prefix="live-") as name,
        small_disk(Path(name) / "disk", DISK_KB) as disk,
        serving() as service,
        new_detector(service.url, timeout_s=20.0) as detector,
    ):
        folder = Path(name)
        street, yard = (
            clips.slower(path, folder / f"{path.stem}.mp4", rate=RATE) for path in clips.CLIPS
        )
        truth = {"street": truth_of(street, detector), "yard": truth_of(yard, detector)}
        frames = different_frames(detector)
        with (
            rtsp_camera(yard) as camera,
            two_sites(street, camera.url, url=service.url, folder=folder, disk=disk) as sites,
            Traffic(detector, frames, threads=1, frames_per_s=1) as traffic,
        ):
            hurt = faults(service, hurt=sites[0], sites=sites, camera=camera, clip=yard, disk=disk)
            figures |= endured(sites, hurt, traffic, options)
        figures |= lines_of(disk, judges_of(truth), [one.name for one in sites])
    print(section({"endurance": figures}))
    sys.exit(0 if is_well(figures) else 1)


@contextlib.contextmanager
def two_sites(
    street: Path, yard: str, *, url: str, folder: Path, disk: Path
) -> Iterator[list[Site]]:
    cameras = {"street": {"source": str(street)}, "yard": {"source": yard}}
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(site(name, cameras, url=url, folder=folder, disk=disk))
            for name in ("hurt", "spared")
        ]


def endured(
    sites: Sequence[Site], hurt: Faults, traffic: Traffic, options: argparse.Namespace
) -> dict[str, Any]:
    """Cause the selected faults; return the figures."""
    seen = Seen()
    wanted = {
        name: fault for name, fault in hurt.items() if name.startswith(tuple(options.only or [""]))
    }
    with sampling(sites, seen):
        endure(
            sites,
            wanted,
            seen,
            minutes=options.minutes,
            every_s=options.every,
            seed=options.seed,
        )
    return figures_of(seen, traffic, sites, options.minutes)


def judges_of(truth: dict[str, Any]) -> dict[str, Any]:
    """Functions that make the judge of a camera's lines, by camera."""
    return {
        "street": lambda: by_number(truth["street"]),
        "yard": lambda: by_pictures(truth["yard"]),
        GUEST: lambda: by_number(truth["yard"]),
    }


if __name__ == "__main__":
    main()
