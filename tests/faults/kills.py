"""Kills steps of a server that is looked after, and measures until frames are answered again.

    python -m tests.faults.kills --rounds 10

Threads detect all the time, profile `cpu`; each round has a server of its own, and one fault. The
time runs from the signal until the server was started again and all threads have been answered.
Every answer is compared with that for the same frame before.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
from yolostream import Detections, Detector, YolostreamError
from yolostream.server import embedded

from loadtest.frames import demo_frames

REPOSITORY = Path(__file__).resolve().parents[2]
THREADS = 4
BACK_WITHIN_S = 10.0
"""What is promised for the profile `cpu`."""

_GIVE_UP_S = 120.0
_WELL_S = 4.0

Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Round:
    took_s: float
    answers: int
    errors: int
    wrong: int


class Load:
    """Threads that detect, and note when each was answered last."""

    def __init__(self, url: str, frames: Sequence[Frame]) -> None:
        self.answers = 0
        self.errors = 0
        self.wrong = 0
        self._frames = frames
        self._stop = threading.Event()
        self._detector = Detector(url, max_in_flight=THREADS, timeout_s=30)
        self._right = [self._detector.detect(frame) for frame in frames]
        self._answered_at = [0.0] * THREADS
        self._threads = [
            threading.Thread(target=self._run, args=(number,)) for number in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def all_answered_since(self, moment: float) -> bool:
        return all(at > moment for at in self._answered_at)

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._detector.close()

    def _run(self, number: int) -> None:
        turn = number
        while not self._stop.is_set():
            turn = (turn + 1) % len(self._frames)
            asked_at = time.monotonic()
            try:
                found = self._detector.detect(self._frames[turn])
            except YolostreamError:
                self.errors += 1
                self._stop.wait(0.05)
                continue
            self.answers += 1
            self.wrong += not same(found, self._right[turn])
            # An answer to a question from before the fault proves nothing.
            self._answered_at[number] = asked_at


def same(one: Detections, other: Detections) -> bool:
    return (
        len(one.scores) > 0
        and np.array_equal(one.class_ids, other.class_ids)
        and np.allclose(one.boxes, other.boxes, atol=0.5)
    )


def victims(server: embedded.EmbeddedTriton, name: str) -> list[psutil.Process]:
    """Processes of a step, or tritonserver."""
    tritonserver = psutil.Process(server.process.pid)
    if name == "tritonserver":
        return [tritonserver]
    return [p for p in tritonserver.children() if f"/{name}/" in " ".join(p.cmdline())]


def seconds_until_back(
    server: embedded.EmbeddedTriton, load: Load, name: str, number: int
) -> float:
    """Send a signal to one process, and wait until all threads are answered again."""
    restarts = server.health().restarts
    victim = victims(server, name)[0]
    at = time.monotonic()
    victim.send_signal(number)
    while server.health().restarts == restarts or not server.health().is_up:
        check_time(at, name)
    up_at = time.monotonic()
    while not load.all_answered_since(up_at):
        check_time(at, name)
    return time.monotonic() - at


def check_time(since: float, name: str) -> None:
    if time.monotonic() - since > _GIVE_UP_S:
        sys.exit(f"no answers {_GIVE_UP_S:g} s after the end of {name}")
    time.sleep(0.02)


@contextlib.contextmanager
def loaded(frames: Sequence[Frame]) -> Iterator[tuple[embedded.EmbeddedTriton, Load]]:
    with embedded.serve(
        REPOSITORY / "model_repository",
        environment=REPOSITORY / ".venv-server",
        models=["yolov7"],
        profile="cpu",
    ) as server:
        load = Load(server.url, frames)
        try:
            yield server, load
        finally:
            load.close()


def run_round(frames: Sequence[Frame], name: str, number: int) -> Round:
    with loaded(frames) as (server, load):
        time.sleep(_WELL_S)
        took_s = seconds_until_back(server, load, name, number)
        return Round(took_s, load.answers, load.errors, load.wrong)


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill steps of a server that is looked after.")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--signal", choices=("SIGKILL", "SIGSTOP"), default="SIGKILL")
    parser.add_argument(
        "victims", nargs="*", default=["preprocess", "yolov7_fp16", "nms", "tritonserver"]
    )
    asked = parser.parse_args()
    frames = demo_frames(size=(360, 640), every=20)
    failed = False
    for name in asked.victims:
        rounds = [
            run_round(frames, name, signal.Signals[asked.signal]) for _ in range(asked.rounds)
        ]
        took = [one.took_s for one in rounds]
        wrong = sum(one.wrong for one in rounds)
        failed |= wrong > 0 or max(took) > BACK_WITHIN_S
        print(
            f"{asked.signal} of {name}, {len(rounds)} times: all threads answered after "
            f"{statistics.median(took):.1f} s (median), {max(took):.1f} s (worst); "
            f"{sum(one.answers for one in rounds)} answers, {wrong} of them wrong, "
            f"{sum(one.errors for one in rounds)} errors",
            flush=True,
        )
    sys.exit(failed)


if __name__ == "__main__":
    main()
