"""The program of `CameraProcess`: cameras that send frames at their own rate, open loop.

Its argument is a `CameraSettings` as JSON. From stdin it reads `start NUMBER` and `stop NUMBER` of
a camera; the end of stdin stops all. To stdout it writes JSON lines: `"ready"`, a list of the
fields of `Record` for each frame, and `"stopped"` after the last frame of a camera.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from yolostream import Detector
from yolostream.client.model import Model
from yolostream.client.transport.buffers import resize
from yolostream.image import Image
from yolostream.pipeline.plan import IN_FLIGHT

from loadtest.cameras import ANSWERED, DROPPED, LATE, CameraSettings, Record
from loadtest.clips import demo_frames
from tools.command import one_line_errors

MAX_IN_FLIGHT = 1024
"""Of the detector that all cameras share, so that it never makes them wait."""

_FRAMES = 30
_WRITE_EVERY_S = 0.2


class Camera:
    """Sends frames at its own rate, and drops a frame while too many others are in flight.

    Each frame in flight has a thread. `Detector.submit` would need none, but it may wait for a
    server that hangs, and then later frames would not be sent when they are due.

    Args:
        detector: May be shared by all cameras; needs room for `in_flight` frames of each.
        frames: uint8 [H, W, 3] each, RGB; repeated from the start.
        settings: Rate, bound, and frames in flight.
        on_record: Receives the record of each frame, in several threads.
        number: Of this camera; it spreads the cameras over the time of a frame.
    """

    def __init__(
        self,
        detector: Detector,
        frames: Sequence[Image],
        settings: CameraSettings,
        on_record: Callable[[Record], None],
        number: int = 0,
    ) -> None:
        self._detector = detector
        self._frames = frames
        self._settings = settings
        self._in_flight = settings.in_flight or IN_FLIGHT
        self._on_record = on_record
        self._period_s = 1 / settings.frames_per_second
        # Multiples of the golden ratio are spread evenly, however many cameras there are.
        self._offset_s = number * 0.618 % 1 * self._period_s
        self._started_s = 0.0
        self._taking = threading.Lock()
        self._index = 0
        self._counting = threading.Lock()
        self._waiting = 0
        self._free_since_s = 0.0

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set, then wait for the frames in flight."""
        self._started_s = time.perf_counter() + self._offset_s
        senders = [
            threading.Thread(target=self._send, args=(stop,)) for _ in range(self._in_flight)
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()

    def _send(self, stop: threading.Event) -> None:
        while (taken := self._take(stop)) is not None:
            frame, scheduled_s = taken
            sent_s, message = time.perf_counter(), None
            try:
                self._detector.detect(frame)
                late = time.perf_counter() - scheduled_s > self._settings.bound_s
                outcome = LATE if late else ANSWERED
            except Exception as error:
                # Without a record, the frame would look as if it had never been due.
                outcome, message = type(error).__name__, str(error)
            answered_s = time.perf_counter()
            self._on_record(Record(scheduled_s, sent_s, answered_s, outcome, message))
            with self._counting:
                if self._waiting == self._in_flight:
                    self._free_since_s = answered_s
                self._waiting -= 1

    def _take(self, stop: threading.Event) -> tuple[Image, float] | None:
        """Wait until the next frame is due; None if the camera was stopped."""
        with self._taking:
            # The frames that were due while all threads waited for the server are dropped.
            while (due_s := self._due_s()) < self._free_since_s and not stop.is_set():
                self._on_record(Record(due_s, None, None, DROPPED))
                self._index += 1
            if stop.is_set() or stop.wait(max(0.0, due_s - time.perf_counter())):
                return None
            frame = self._frames[self._index % len(self._frames)]
            self._index += 1
            with self._counting:
                self._waiting += 1
            return frame, due_s

    def _due_s(self) -> float:
        return self._started_s + self._index * self._period_s


def clip_frames(model: Model) -> list[Image]:
    """The first frames of a demo clip, uint8 [H, W, 3] each, RGB, in the size that is sent."""
    frames = demo_frames(every=1, first=_FRAMES)
    height, width = model.downscaled(*frames[0].shape[:2])
    return [resize(frame, height=height, width=width) for frame in frames]


def main() -> None:
    """Run cameras until stdin ends."""
    settings = CameraSettings(**json.loads(sys.argv[1]))
    with (
        one_line_errors(),
        Detector(settings.url, settings.model, max_in_flight=MAX_IN_FLIGHT) as detector,
        _lines() as write,
    ):
        frames = clip_frames(detector.model)

        def run(number: int, stop: threading.Event) -> None:
            Camera(detector, frames, settings, write, number).run(stop)
            write("stopped")

        write("ready")
        _obey(run)


def _obey(run: Callable[[int, threading.Event], None]) -> None:
    """Start and stop cameras as stdin says, until it ends."""
    running: dict[str, tuple[threading.Thread, threading.Event]] = {}
    try:
        for line in sys.stdin:
            command, number = line.split()
            if command == "start":
                stop = threading.Event()
                thread = threading.Thread(target=run, args=(int(number), stop))
                running[number] = thread, stop
                thread.start()
            else:
                running[number][1].set()
    finally:
        for _, stop in running.values():
            stop.set()
        for thread, _ in running.values():
            thread.join()


@contextlib.contextmanager
def _lines() -> Iterator[Callable[[Any], None]]:
    """Write JSON lines a few times a second; a write for each frame would wake the reader often."""
    waiting: deque[Any] = deque()
    ended = threading.Event()

    def write() -> None:
        last = False
        while not last:
            last = ended.wait(_WRITE_EVERY_S)
            # A reader that is gone has closed stdin too, which ends the program.
            with contextlib.suppress(BrokenPipeError):
                while waiting:
                    sys.stdout.write(f"{json.dumps(waiting.popleft())}\n")
                sys.stdout.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield waiting.append
    finally:
        ended.set()
        writer.join()


if __name__ == "__main__":
    main()
