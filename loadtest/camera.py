"""A camera as the server sees it: frames at its own rate, whatever becomes of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from yolostream import Detector
from yolostream.client.model import Model
from yolostream.client.transport.buffers import resize
from yolostream.image import Image
from yolostream.pipeline.plan import IN_FLIGHT

from loadtest.frames import demo_clip

MAX_IN_FLIGHT = 1024
"""For the detector that all cameras of a process share: they wait for the server, never for it."""

ANSWERED = "answered"
LATE = "late"
DROPPED = "dropped"
"""Outcomes of a frame beside the names of the errors that it can end with."""


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
                # Whatever it is: a frame that nobody tells of would look like none.
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
        frames = [frame.image for frame in islice(session, first)]
    height, width = model.downscaled(*frames[0].shape[:2])
    return [resize(frame, height=height, width=width) for frame in frames]
