"""Any number of cameras, in as many processes as they need."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from math import ceil

from loadtest.bound import Bound
from loadtest.camera_process import CameraProcess, CameraSettings, Record
from loadtest.errors import LoadTestError
from loadtest.usage import cpu_s

FRAMES_PER_PROCESS = 250
"""Frames a second that one process sends, so that none of them is short of time: Python does one
thing at a time, and a frame costs it one to two milliseconds."""


class Cameras:
    """Cameras that show a demo clip to a server.

    Args:
        url: gRPC address of the server.
        model: name of the ensemble.
        clip: name of the clip in `videos/`, without its ending.
        bound: the rate of each camera, and how late an answer may be.
        in_flight: frames of each camera on their way at once, what is due meanwhile is dropped; by
            default as many as `yolostream detect` has.
    """

    def __init__(
        self, url: str, model: str, *, clip: str, bound: Bound, in_flight: int | None = None
    ) -> None:
        self.bound = bound
        rate = bound.frames_per_second
        self._settings = CameraSettings(url, model, clip, rate, bound.latency_s, in_flight)
        self._per_process = max(1, int(FRAMES_PER_PROCESS / rate))
        self._processes: list[CameraProcess] = []

    def make_ready(self, count: int) -> None:
        """Start the processes that so many cameras need, which takes a second.

        Raises:
            LoadTestError: one does not start; it has said why on stderr.
        """
        with _told():
            for _ in range(ceil(count / self._per_process) - len(self._processes)):
                self._processes.append(CameraProcess(self._settings, lambda record: None))
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
            process.on_record = records.append
            process.start(number)
        try:
            yield records
        finally:
            for number, process in enumerate(processes):
                process.stop(number)
            with _told():
                for process in processes:
                    process.wait_until_stopped()

    def cpu_s(self) -> float:
        """Processor time of all cameras so far, in seconds."""
        return cpu_s([process.pid for process in self._processes])

    def __enter__(self) -> Cameras:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.close()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Say of a process that ended what it was."""
    try:
        yield
    except RuntimeError as error:
        raise LoadTestError(f"a process of cameras {error}: its own words stand above") from error
