"""The load model: cameras that send frames at their own rate, open loop, in processes of their own.

`loadtest.capacity` and locust use it. The cameras do not run beside other work, because its
threads, or locust's greenlets, make a camera wait: ten cameras at 10 frames/s dropped 9 to 22 of
600 frames as greenlets, and none in a process of their own.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from math import ceil
from typing import NamedTuple

from loadtest.errors import LoadTestError
from loadtest.processes import cpu_s
from loadtest.repository import REPOSITORY

ANSWERED = "answered"
LATE = "late"
DROPPED = "dropped"
"""Outcomes of a frame, in addition to the names of errors."""

FRAMES_PER_PROCESS = 250
"""Frames per second that one process sends without being late. Python runs one thread at a time,
and a frame takes it one to two milliseconds."""


class Record(NamedTuple):
    """What became of one frame; times are seconds of `time.perf_counter`."""

    scheduled_s: float
    """When the frame was due."""
    sent_s: float | None
    """When it was sent; None if it was dropped."""
    answered_s: float | None
    """When its answer or error came; None if it was dropped."""
    outcome: str
    """`ANSWERED` within the bound, `LATE` after it, `DROPPED`, or the name of an error class."""
    message: str | None = None
    """The message of that error."""

    @property
    def latency_s(self) -> float | None:
        """Seconds from when the frame was due to its answer; None without an answer.

        It does not count from when the frame was sent, because a load generator that waits for a
        slow server must not hide how slow the server is.
        """
        if self.answered_s is None or self.outcome not in (ANSWERED, LATE):
            return None
        return self.answered_s - self.scheduled_s


@dataclass(frozen=True)
class CameraSettings:
    """What each camera does."""

    url: str
    """gRPC address of the server."""
    model: str
    """Name of the ensemble."""
    frames_per_second: float
    bound_s: float
    """Seconds after which an answer is late."""
    in_flight: int | None = None
    """Frames of each camera in flight at once; a frame that is due meanwhile is dropped. By default
    as many as `yolostream detect` has."""


class CameraProcess:
    """A process that runs any number of cameras, `loadtest.camera`.

    Args:
        settings: Of its cameras.
        on_record: Receives the record of each frame, in a thread of its own.
        on_end: Receives the exit code when the process has ended, in the same thread.
    """

    def __init__(
        self,
        settings: CameraSettings,
        on_record: Callable[[Record], None] = lambda record: None,
        on_end: Callable[[int], None] = lambda code: None,
    ) -> None:
        self.on_record = on_record
        self._on_end = on_end
        self._process = subprocess.Popen(
            [sys.executable, "-m", "loadtest.camera", json.dumps(asdict(settings))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            # Ctrl-C must reach only the program that started the cameras, which then stops them.
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._told: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def tell(self, command: str, number: int) -> None:
        """Tell a camera to `start`, or to `stop`."""
        assert self._process.stdin is not None
        # `wait_for` reports a process that has ended.
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(f"{command} {number}\n")
            self._process.stdin.flush()

    def wait_for(self, event: str) -> None:
        """Wait until the process reports `ready` once, or `stopped` for one camera."""
        if (told := self._told.get()) != event:
            self._told.put(told)
            raise LoadTestError(f"a process of cameras {told}: see its message above")

    def close(self) -> None:
        """Stop all cameras, and wait for the records of all frames."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        # A process that is killed may leave half a line.
        with self._process.stdout as lines, contextlib.suppress(json.JSONDecodeError):
            for line in lines:
                match json.loads(line):
                    case [*fields]:
                        self.on_record(Record(*fields))
                    case event:
                        self._told.put(event)
        code = self._process.wait()
        self._told.put(f"ended with exit code {code}")
        self._on_end(code)


class Cameras:
    """Cameras that show a demo clip to a server, in as many processes as they need."""

    def __init__(self, settings: CameraSettings) -> None:
        self._settings = settings
        self._per_process = max(1, int(FRAMES_PER_PROCESS / settings.frames_per_second))
        self._processes: list[CameraProcess] = []

    def make_ready(self, count: int) -> None:
        """Start the processes that so many cameras need, which takes a second."""
        missing = ceil(count / self._per_process) - len(self._processes)
        new = [CameraProcess(self._settings) for _ in range(missing)]
        self._processes += new
        for process in new:
            process.wait_for("ready")

    @contextlib.contextmanager
    def showing(self, count: int) -> Iterator[deque[Record]]:
        """Run `count` cameras inside the block.

        Yields:
            The records of all frames, complete after the block.
        """
        self.make_ready(count)
        records: deque[Record] = deque()
        processes = [self._processes[n % len(self._processes)] for n in range(count)]
        for number, process in enumerate(processes):
            process.on_record = records.append
            process.tell("start", number)
        try:
            yield records
        finally:
            for number, process in enumerate(processes):
                process.tell("stop", number)
            for process in processes:
                process.wait_for("stopped")

    def cpu_s(self) -> float:
        """Processor time of all cameras so far, in seconds."""
        return cpu_s([process.pid for process in self._processes])

    def __enter__(self) -> Cameras:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.close()
