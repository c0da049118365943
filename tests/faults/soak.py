"""Run a server at half its load for a long time, with faults at intervals.

    python -m tests.faults.soak --minutes 60

The faults, in a random order: a process of each step, tritonserver or another client is killed, or
all processes of the server are paused. Every answer is checked. The exit code is 1 if one was
wrong, or if memory, open files or regions of shared memory grew.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.faults.service import STEPS, Service, new_detector, serving
from tests.faults.traffic import Traffic, different_frames

FULL_LOAD_S = 10.0
PAUSE_S = 1.5
SAMPLE_S = 10.0
MOST_GROWTH_MB = 20.0
MOST_GROWTH = 8
"""Allowed growth of the number of open files, and of files in /dev/shm."""

_VICTIMS = (*STEPS, "tritonserver", "client", "group")
_CLIENT = """
import sys, numpy as np
from yolostream import Detector
with Detector(sys.argv[1]) as detector:
    print("ready", flush=True)
    while True:
        detector.detect(np.zeros((360, 640, 3), np.uint8))
"""


@dataclass(frozen=True)
class Sample:
    """Memory, open files and shared memory of this process: the client and the supervisor."""

    megabytes: float
    descriptors: int
    regions: int


def sample() -> Sample:
    here = psutil.Process()
    regions = sum(1 for _ in Path("/dev/shm").iterdir())
    return Sample(here.memory_info().rss / 1e6, here.num_fds(), regions)


def victims(seed: int) -> Iterator[str]:
    """All victims in turn, in an order that differs from round to round."""
    chance = random.Random(seed)
    for _ in itertools.count():
        yield from chance.sample(_VICTIMS, len(_VICTIMS))


def cause_fault(service: Service, victim: str) -> None:
    if victim == "group":
        service.pause("group", PAUSE_S)
    elif victim == "client":
        kill_a_client(service.url)
    else:
        os.kill(service.processes(victim)[0], signal.SIGKILL)


def kill_a_client(url: str) -> None:
    """Kill a client that has frames in flight."""
    command = [sys.executable, "-c", _CLIENT, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        client.stdout.readline()
        time.sleep(1)
        client.kill()


def soak(
    service: Service, traffic: Traffic, plan: Iterator[str], *, minutes: float, every_s: float
):
    """Cause faults at intervals; return the samples, and the seconds without answers."""
    samples, outages_s = [], []
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        due = min(end, time.monotonic() + every_s)
        while time.monotonic() < due:
            time.sleep(min(SAMPLE_S, max(0.0, due - time.monotonic())))
            samples.append(sample())
        victim, started = next(plan), time.monotonic()
        cause_fault(service, victim)
        service.wait_until_healthy(traffic.answers)
        outages_s.append(time.monotonic() - started)
        print(f"{victim}: well after {outages_s[-1]:.1f} s; {samples[-1]}", flush=True)
    return samples, outages_s


def growth(values: Sequence[float]) -> float:
    """Growth from the second quarter to the last one; the first includes the warm-up."""
    quarter = max(1, len(values) // 4)
    return statistics.median(values[-quarter:]) - statistics.median(values[quarter : 2 * quarter])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=120, help="seconds between two faults")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    with serving() as service, new_detector(service.url, timeout_s=20.0) as detector:
        frames = different_frames(detector)
        with Traffic(detector, frames) as full:
            time.sleep(FULL_LOAD_S)
        rate = full.right / FULL_LOAD_S
        with Traffic(detector, frames, frames_per_s=rate / 2) as traffic:
            plan = victims(options.seed)
            samples, outages_s = soak(
                service, traffic, plan, minutes=options.minutes, every_s=options.every
            )
    grown = Sample(
        growth([one.megabytes for one in samples]),
        round(growth([one.descriptors for one in samples])),
        round(growth([one.regions for one in samples])),
    )
    print(
        f"{options.minutes:g} minutes at {rate / 2:.0f} of {rate:.0f} frames/s, {len(outages_s)} "
        f"faults, well again after {statistics.median(outages_s):.1f} s, {max(outages_s):.1f} s at "
        f"most; {traffic.right} right, {len(traffic.wrong)} wrong answers, errors "
        f"{dict(traffic.errors)}; growth: {grown}"
    )
    well = grown.megabytes <= MOST_GROWTH_MB
    well &= max(grown.descriptors, grown.regions) <= MOST_GROWTH
    sys.exit(0 if well and not traffic.wrong else 1)


if __name__ == "__main__":
    main()
