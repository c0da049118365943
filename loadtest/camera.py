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
from dataclasses import astuple
from itertools import cycle
from typing import Any

from yolostream import Detector
from yolostream.client.model import Model
from yolostream.client.transport.buffers import resize
from yolostream.errors import YolostreamError
from yolostream.image import Image
from yolostream.pipeline.plan import IN_FLIGHT

from loadtest.camera_process import ANSWERED, DROPPED, LATE, CameraSettings, Record
from loadtest.frames import demo_frames
from tools.command import one_line_errors

MAX_IN_FLIGHT = 1024
"""Of the detector that all cameras share, so that it never makes them wait."""

_FRAMES = 30
_WRITE_EVERY_S = 0.2


class Camera:
    """Sends frames at its own rate, and drops a frame while too many others are in flight.

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
        self._period_s = 1 / settings.frames_per_second
        self._bound_s = settings.bound_s
        self._in_flight = settings.in_flight or IN_FLIGHT
        self._places = threading.Semaphore(self._in_flight)
        self._on_record = on_record
        self._number = number

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set, then wait for the frames in flight."""
        # Multiples of the golden ratio are spread evenly, however many cameras there are.
        due_s = time.perf_counter() + self._number * 0.618 % 1 * self._period_s
        for frame in cycle(self._frames):
            if stop.wait(max(0.0, due_s - time.perf_counter())):
                break
            if self._places.acquire(blocking=False):
                self._send(frame, due_s)
            else:
                self._on_record(Record(due_s, None, None, DROPPED))
            due_s += self._period_s
        for _ in range(self._in_flight):
            self._places.acquire()

    def _send(self, frame: Image, due_s: float) -> None:
        sent_s = time.perf_counter()

        def ended(error: BaseException | None) -> None:
            now_s = time.perf_counter()
            outcome, message = LATE if now_s - due_s > self._bound_s else ANSWERED, None
            if error is not None:
                outcome, message = type(error).__name__, str(error)
            self._on_record(Record(due_s, sent_s, now_s, outcome, message))
            self._places.release()

        try:
            pending = self._detector.submit(frame)
        except YolostreamError as error:
            ended(error)
        else:
            pending.add_done_callback(lambda answer: ended(answer.exception()))


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
            Camera(detector, frames, settings, lambda record: write(astuple(record)), number).run(
                stop
            )
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
            lines = [json.dumps(waiting.popleft()) for _ in range(len(waiting))]
            # A reader that is gone has closed stdin too, which ends the program.
            with contextlib.suppress(BrokenPipeError):
                sys.stdout.writelines(f"{line}\n" for line in lines)
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
