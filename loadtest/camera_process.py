"""Cameras in a process of their own: other programs give them no time, and their cost is their own.

Threads beside another program's work, or locust's greenlets, make a camera wait while that works:
ten cameras at 10 frames/s as greenlets dropped 9 to 22 of 600 frames that a server without work to
do answered; those in a process of their own dropped none.

Nothing but the standard library is imported: locust's clock stands still meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ANSWERED = "answered"
LATE = "late"
DROPPED = "dropped"
"""Outcomes of a frame beside the names of the errors that it can end with."""

MAX_LOST = 0.01
"""Share of the frames that may be lost where cameras hold; as many as a p99 leaves out."""

_REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Record:
    """What became of one frame; times are seconds of `time.perf_counter`."""

    scheduled_s: float
    """When the camera took the frame."""
    sent_s: float | None
    """When it was sent; None for a dropped one."""
    answered_s: float | None
    """When its answer or error was there; None for one that was never sent."""
    outcome: str
    """`ANSWERED` within the bound, `LATE` after it, `DROPPED`, or the name of an error class."""
    message: str | None = None
    """Of that error."""

    @property
    def latency_s(self) -> float | None:
        """Seconds from taking the frame to its objects; None without an answer.

        Counted from when the frame was due and not from when it was sent: a load generator that
        waits for a slow server must not hide how slow it is.
        """
        if self.answered_s is None or self.outcome not in (ANSWERED, LATE):
            return None
        return self.answered_s - self.scheduled_s


@dataclass(frozen=True)
class CameraSettings:
    """What each camera of a process is.

    Attributes:
        url: gRPC address of the server.
        model: Name of the ensemble.
        clip: Name of the clip in `videos/`, without its ending.
        frames_per_second: Of each camera.
        bound_s: Seconds after which an answer is late.
        in_flight: Frames of each camera on their way at once, what is due meanwhile is dropped; by
            default as many as `yolostream detect` has.
    """

    url: str
    model: str
    clip: str
    frames_per_second: float
    bound_s: float
    in_flight: int | None = None


class CameraProcess:
    """One process of cameras, `loadtest.camera`, and what it says.

    Args:
        settings: Of its cameras.
        on_record: Is given what became of each frame, in a thread of its own.
        on_end: Is given the exit code once it has ended, in the same thread.
    """

    def __init__(
        self,
        settings: CameraSettings,
        on_record: Callable[[Record], None],
        on_end: Callable[[int], None] = lambda code: None,
    ) -> None:
        self.on_record = on_record
        self._on_end = on_end
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "loadtest.camera"),
                *("--url", settings.url, "--model", settings.model, "--clip", settings.clip),
                *("--frames-per-second", str(settings.frames_per_second)),
                *("--bound-s", str(settings.bound_s)),
                *(["--in-flight", str(settings.in_flight)] if settings.in_flight else []),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_REPOSITORY,
            # Ctrl-C is for the one who started the cameras, and who then stops them.
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._ready = False
        self._told: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(self, number: int) -> None:
        """Start a camera."""
        self._tell(f"start {number}")

    def stop(self, number: int) -> None:
        """Stop a camera, which then waits for its frames."""
        self._tell(f"stop {number}")

    def wait_until_ready(self) -> None:
        """Wait until it can start cameras.

        Raises:
            RuntimeError: It ended; it has said why on stderr.
        """
        if not self._ready:
            self._expect("ready")
            self._ready = True

    def wait_until_stopped(self) -> None:
        """Wait for one camera of those that were told to stop.

        Raises:
            RuntimeError: The process ended.
        """
        self._expect("stopped")

    def close(self) -> None:
        """Stop all cameras, and wait until every frame is told of."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._reader.join()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        # A process that is gone is noticed where its answer is missing.
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()

    def _expect(self, word: str) -> None:
        if (told := self._told.get()) != word:
            self._told.put(told)
            raise RuntimeError(told)

    def _read(self) -> None:
        assert self._process.stdout is not None
        # A process that is killed may leave half a line.
        with self._process.stdout as lines, contextlib.suppress(json.JSONDecodeError):
            for line in lines:
                match json.loads(line):
                    case [*fields]:
                        self.on_record(Record(*fields))
                    case word:
                        self._told.put(word)
        code = self._process.wait()
        self._told.put(f"ended with exit code {code}")
        self._on_end(code)
