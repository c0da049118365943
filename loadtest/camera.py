"""A camera as the server sees it: frames at its own rate, whatever becomes of them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import NamedTuple

from yolostream import Detector
from yolostream.errors import YolostreamError
from yolostream.image import Image
from yolostream.model import Model
from yolostream.pending import Pending
from yolostream.pipeline import IN_FLIGHT
from yolostream.slots import resize
from yolostream.sources import open_sources

from loadtest.repository import VIDEOS

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
    error: YolostreamError | None = None

    @property
    def latency_s(self) -> float | None:
        """Seconds from taking the frame to its objects; None without an answer.

        Counted from when the frame was due and not from when it was sent: a load generator that
        waits for a slow server must not hide how slow it is.
        """
        if self.answered_s is None or self.outcome not in (ANSWERED, LATE):
            return None
        return self.answered_s - self.scheduled_s


class _Sent(NamedTuple):
    scheduled_s: float
    sent_s: float
    pending: Pending


class Camera:
    """Sends frames of its clip at its own rate, open loop.

    A frame that is due while `in_flight` earlier ones are unanswered is dropped, as is one that
    passed while the server kept the camera waiting.

    Args:
        detector: may be shared by all cameras; needs room for `in_flight` frames of each.
        frames: uint8 [H, W, 3] each, RGB; repeated from the start.
        frames_per_second: rate.
        bound_s: seconds within which an answer is of use.
        on_record: is given the record of each frame, in order, in the thread of `run`.
        number: of this camera; spreads the cameras over a frame's time.
        in_flight: frames on their way at once.
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
        self._sent: deque[_Sent] = deque()

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set, then wait for the frames on their way."""
        # Multiples of the golden ratio lie apart from each other, however many there are.
        started_s = time.perf_counter() + self._number * 0.618 % 1 * self._period_s
        for index in count():
            scheduled_s = started_s + index * self._period_s
            if stop.wait(max(0.0, scheduled_s - time.perf_counter())):
                break
            self._collect()
            missed = time.perf_counter() - scheduled_s > self._period_s
            if missed or len(self._sent) >= self._in_flight:
                self._on_record(Record(scheduled_s, None, None, DROPPED))
            else:
                self._send(self._frames[index % len(self._frames)], scheduled_s)
        self._collect(wait=True)

    def _send(self, frame: Image, scheduled_s: float) -> None:
        sent_s = time.perf_counter()
        try:
            self._sent.append(_Sent(scheduled_s, sent_s, self._detector.submit(frame)))
        except YolostreamError as error:
            self._on_record(_failed(scheduled_s, sent_s, time.perf_counter(), error))

    def _collect(self, *, wait: bool = False) -> None:
        """Record the frames that are answered, or wait for all."""
        while self._sent and (wait or self._sent[0].pending.done()):
            self._on_record(self._record(*self._sent.popleft()))

    def _record(self, scheduled_s: float, sent_s: float, pending: Pending) -> Record:
        error = None
        try:
            pending.result()
        except YolostreamError as failure:
            error = failure
        # Not now: the answer may have been there for a while.
        answered_s = sent_s + pending.shrink_s + pending.request_s
        if error is not None:
            return _failed(scheduled_s, sent_s, answered_s, error)
        in_time = answered_s - scheduled_s <= self._bound_s
        return Record(scheduled_s, sent_s, answered_s, ANSWERED if in_time else LATE)


def _failed(scheduled_s: float, sent_s: float, answered_s: float, error: YolostreamError) -> Record:
    return Record(scheduled_s, sent_s, answered_s, type(error).__name__, error)


def clip_frames(clip: str, model: Model, *, first: int = 30) -> list[Image]:
    """The first frames of a demo clip, decoded and shrunk beforehand, as a `Camera` shows them.

    Args:
        clip: its name in `videos/`, without its ending.
        model: that will see them; a `Detector` sends them as they are.
        first: how many; only these are decoded, for a load test should start at once.

    Returns:
        uint8 [height, width, 3] each, RGB.

    Raises:
        SourceError: there is no such clip.
    """
    sources, errors = open_sources([str(VIDEOS / f"{clip}.mp4")])
    if errors:
        raise errors[0]
    (video,) = sources
    with contextlib.closing(video):
        frames = [frame.image for frame in islice(video, first)]
    height, width = model.shrunk(*frames[0].shape[:2])
    return [resize(frame, height=height, width=width) for frame in frames]
