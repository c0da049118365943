"""Any number of cameras, in as many processes as they need."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import psutil
from yolostream.pipeline.plan import IN_FLIGHT

from loadtest.camera import Record
from loadtest.errors import LoadTestError
from loadtest.repository import REPOSITORY

FRAMES_PER_PROCESS = 250
"""Frames a second that one process sends, so that none of them is short of time: Python does one
thing at a time, and a frame costs it one to two milliseconds."""


@dataclass(frozen=True)
class Bound:
    """What all cameras together have to hold."""

    frames_per_second: float
    latency_s: float
    """At the 99th percentile."""


class Cameras:
    """Cameras that show a demo clip to a server.

    Args:
        url: gRPC address of the server.
        model: name of the ensemble.
        clip: name of the clip in `videos/`, without its ending.
        bound: the rate of each camera, and how late an answer may be.
        in_flight: frames of each camera on their way at once; what is due meanwhile is dropped.
    """

    def __init__(
        self, url: str, model: str, *, clip: str, bound: Bound, in_flight: int = IN_FLIGHT
    ) -> None:
        self.bound = bound
        self._command = [
            *(sys.executable, "-m", "loadtest.camera_process"),
            *("--url", url, "--model", model, "--clip", clip),
            *("--frames-per-second", str(bound.frames_per_second)),
            *("--bound-ms", str(1000 * bound.latency_s)),
            *("--in-flight", str(in_flight)),
        ]
        self._per_process = max(1, int(FRAMES_PER_PROCESS / bound.frames_per_second))
        self._processes: list[_CameraProcess] = []

    def make_ready(self, count: int) -> None:
        """Start the processes that so many cameras need, which takes a second.

        Raises:
            LoadTestError: one does not start; it has said why on stderr.
        """
        for _ in range(ceil(count / self._per_process) - len(self._processes)):
            self._processes.append(_CameraProcess(self._command))
        for process in self._processes:
            process.wait_until_ready()

    @contextlib.contextmanager
    def showing(self, count: int) -> Iterator[deque[Record]]:
        """Run `count` cameras inside the block.

        Yields:
            The records of all, still growing; complete after the block.

        Raises:
            LoadTestError: a process of theirs ended.
        """
        self.make_ready(count)
        records: deque[Record] = deque()
        processes = [self._processes[n % len(self._processes)] for n in range(count)]
        for number, process in enumerate(processes):
            process.start(number, records)
        try:
            yield records
        finally:
            for number, process in enumerate(processes):
                process.stop(number)
            for process in processes:
                process.wait_until_stopped()

    def cpu_s(self) -> float:
        """Processor time of all cameras so far, in seconds."""
        return sum(process.cpu_s() for process in self._processes)

    def __enter__(self) -> Cameras:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.close()


class _CameraProcess:
    """One process of `loadtest.camera_process`, and what it says."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            # Ctrl-C is for the one who started the cameras, and who then stops them.
            start_new_session=True,
        )
        self._records: deque[Record] = deque()
        self._ready = False
        self._told: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_until_ready(self) -> None:
        if not self._ready:
            self._expect("ready")
            self._ready = True

    def start(self, number: int, records: deque[Record]) -> None:
        self._records = records
        self._tell(f"start {number}")

    def stop(self, number: int) -> None:
        self._tell(f"stop {number}")

    def wait_until_stopped(self) -> None:
        """Wait for one camera of those that were told to stop."""
        self._expect("stopped")

    def cpu_s(self) -> float:
        try:
            times = psutil.Process(self._process.pid).cpu_times()
        except psutil.NoSuchProcess:
            return 0.0
        return float(times.user + times.system)

    def close(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._reader.join()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        # A process that is gone is noticed where its answer is missing.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()

    def _expect(self, word: str) -> None:
        if (told := self._told.get()) != word:
            self._told.put(told)
            raise LoadTestError(f"a process of cameras {told}: its own words stand above")

    def _read(self) -> None:
        assert self._process.stdout is not None
        # A process that is killed may leave half a line.
        with self._process.stdout as lines, contextlib.suppress(json.JSONDecodeError):
            for line in lines:
                match json.loads(line):
                    case [*fields]:
                        self._records.append(Record(*fields))
                    case {"stopped": _}:
                        self._told.put("stopped")
                    case word:
                        self._told.put(word)
        self._told.put(f"ended with exit code {self._process.wait()}")
