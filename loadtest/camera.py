"""A camera as the server sees it: frames at its own rate, whatever becomes of them.

As a program, `python -m loadtest.camera`, it runs any number of them. It reads from stdin:
`start NUMBER` and `stop NUMBER` of a camera, and the end of the file for all. It writes JSON to
stdout, line by line: `"ready"`, then of each frame a list of the fields of
`loadtest.camera_process.Record`, and `"stopped"` when a camera's last frame is told.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import astuple
from itertools import islice
from typing import Any

from yolostream import Detector
from yolostream.client.model import Model
from yolostream.client.transport.buffers import resize
from yolostream.image import Image
from yolostream.pipeline.plan import IN_FLIGHT

from loadtest.camera_process import ANSWERED, DROPPED, LATE, Record
from loadtest.frames import demo_clip, on_host
from tools.command import one_line_errors

MAX_IN_FLIGHT = 1024
"""For the detector that all cameras of a process share: they wait for the server, never for it."""

_WRITE_EVERY_S = 0.2


class Camera:
    """Sends frames of its clip at its own rate, open loop.

    A frame that is due while `in_flight` earlier ones are unanswered is dropped.

    Args:
        detector: may be shared by all cameras; needs room for `in_flight` frames of each.
        frames: uint8 [H, W, 3] each, RGB; repeated from the start.
        frames_per_second: rate.
        bound_s: seconds within which an answer is of use.
        on_record: is given the record of each frame, in several threads.
        number: of this camera; spreads the cameras over a frame's time.
        in_flight: frames on their way at once, each in a thread of its own: a thread that waits for
            its answer costs less than one that is woken by another with the answer.
    """

    def __init__(
        self,
        detector: Detector,
        frames: Sequence[Image],
        *,
        frames_per_second: float,
        bound_s: float,
        on_record: Callable[[Record], None],
        number: int = 0,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        self._detector = detector
        self._frames = frames
        self._period_s = 1 / frames_per_second
        self._bound_s = bound_s
        self._on_record = on_record
        self._number = number
        self._in_flight = in_flight
        self._lock = threading.Lock()
        self._index = 0
        self._counting = threading.Lock()
        self._waiting = 0
        self._free_since_s = 0.0
        self._started_s = 0.0

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set, then wait for the frames on their way."""
        # Multiples of the golden ratio lie apart from each other, however many there are.
        self._started_s = time.perf_counter() + self._number * 0.618 % 1 * self._period_s
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
                late = time.perf_counter() - scheduled_s > self._bound_s
                outcome = LATE if late else ANSWERED
            except Exception as error:
                # Recorded, because a frame without a record would look as if it was never due.
                outcome, message = type(error).__name__, str(error)
            answered_s = time.perf_counter()
            self._on_record(Record(scheduled_s, sent_s, answered_s, outcome, message))
            with self._counting:
                if self._waiting == self._in_flight:
                    self._free_since_s = answered_s
                self._waiting -= 1

    def _take(self, stop: threading.Event) -> tuple[Image, float] | None:
        """Wait for the next frame; None when there is none any more."""
        with self._lock:
            # What was due while every sender waited for the server is gone.
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


def clip_frames(clip: str, model: Model, *, first: int = 30) -> list[Image]:
    """The first frames of a demo clip, decoded and downscaled beforehand, as a `Camera` shows them.

    Args:
        clip: its name in `videos/`, without its ending.
        model: that will see them; a `Detector` sends them as they are.
        first: how many; only these are decoded, for a load test should start at once.

    Returns:
        uint8 [height, width, 3] each, RGB.

    Raises:
        SourceError: there is no such clip.
    """
    with demo_clip(clip) as session:
        frames = [on_host(frame.image) for frame in islice(session, first)]
    height, width = model.downscaled(*frames[0].shape[:2])
    return [resize(frame, height=height, width=width) for frame in frames]


def main() -> None:
    """Run cameras until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.camera")
    for option in ("--url", "--model", "--clip"):
        parser.add_argument(option, required=True)
    for option in ("--frames-per-second", "--bound-s"):
        parser.add_argument(option, type=float, required=True)
    parser.add_argument("--in-flight", type=int, default=IN_FLIGHT)
    options = parser.parse_args()
    with (
        one_line_errors(),
        Detector(options.url, options.model, max_in_flight=MAX_IN_FLIGHT) as detector,
        _Lines() as lines,
    ):
        frames = clip_frames(options.clip, detector.model)

        def run(number: int, stop: threading.Event) -> None:
            Camera(
                detector,
                frames,
                frames_per_second=options.frames_per_second,
                bound_s=options.bound_s,
                on_record=lambda record: lines.append(astuple(record)),
                number=number,
                in_flight=options.in_flight,
            ).run(stop)
            lines.append("stopped")

        lines.append("ready")
        _obey(run)


def _obey(run: Callable[[int, threading.Event], None]) -> None:
    """Do what stdin says, until it ends."""
    running: dict[int, tuple[threading.Thread, threading.Event]] = {}
    try:
        for line in sys.stdin:
            command, number = line.split()
            if command == "start":
                stop = threading.Event()
                thread = threading.Thread(target=run, args=(int(number), stop))
                running[int(number)] = thread, stop
                thread.start()
            else:
                running[int(number)][1].set()
    finally:
        for _, stop in running.values():
            stop.set()
        for thread, _ in running.values():
            thread.join()


class _Lines:
    """Written a few times a second: a line at a time would wake the reader for each frame."""

    def __init__(self) -> None:
        self._waiting: deque[Any] = deque()
        self.append = self._waiting.append
        self._ended = threading.Event()
        self._writer = threading.Thread(target=self._write)

    def __enter__(self) -> _Lines:
        self._writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._writer.join()

    def _write(self) -> None:
        ended = False
        while not ended:
            ended = self._ended.wait(_WRITE_EVERY_S)
            lines = [json.dumps(self._waiting.popleft()) for _ in range(len(self._waiting))]
            # A reader that is gone has closed stdin too.
            with contextlib.suppress(BrokenPipeError):
                sys.stdout.writelines(f"{line}\n" for line in lines)
                sys.stdout.flush()


if __name__ == "__main__":
    main()
