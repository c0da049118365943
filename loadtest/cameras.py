"""Any number of cameras, in as many processes as they need."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from math import ceil

from loadtest.camera_process import CameraProcess, CameraSettings, Record
from loadtest.errors import LoadTestError
from loadtest.processes import cpu_s
from loadtest.search import Bound

FRAMES_PER_PROCESS = 250
"""Frames per second that one process sends without being late. Python runs one thread at a time,
and a frame takes it one to two milliseconds."""


class Cameras:
    """Cameras that show a demo clip to a server, in as many processes as they need.

    The bound says the rate of each camera, and how late an answer may be. The other arguments are
    those of `CameraSettings`.
    """

    def __init__(self, url: str, model: str, *, bound: Bound, in_flight: int | None = None) -> None:
        self.bound = bound
        rate = bound.frames_per_second
        self._settings = CameraSettings(url, model, rate, bound.latency_s, in_flight)
        self._per_process = max(1, int(FRAMES_PER_PROCESS / rate))
        self._processes: list[CameraProcess] = []

    def make_ready(self, count: int) -> None:
        """Start the processes that so many cameras need, which takes a second.

        Raises:
            LoadTestError: A process does not start.
        """
        missing = ceil(count / self._per_process) - len(self._processes)
        new = [CameraProcess(self._settings) for _ in range(missing)]
        self._processes += new
        _wait_for("ready", new)

    @contextlib.contextmanager
    def showing(self, count: int) -> Iterator[deque[Record]]:
        """Run `count` cameras inside the block.

        Yields:
            The records of all frames, complete after the block.

        Raises:
            LoadTestError: A process ended.
        """
        self.make_ready(count)
        records: deque[Record] = deque()
        processes = [self._processes[n % len(self._processes)] for n in range(count)]
        for number, process in enumerate(processes):
            process.on_record = records.append
            process.start(number)
        try:
            yield records
        finally:
            for number, process in enumerate(processes):
                process.stop(number)
            _wait_for("stopped", processes)

    def cpu_s(self) -> float:
        """Processor time of all cameras so far, in seconds."""
        return cpu_s([process.pid for process in self._processes])

    def __enter__(self) -> Cameras:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.close()


def _wait_for(event: str, processes: list[CameraProcess]) -> None:
    try:
        for process in processes:
            process.wait_for(event)
    except RuntimeError as error:
        raise LoadTestError(f"a process of cameras {error}: see its message above") from error
