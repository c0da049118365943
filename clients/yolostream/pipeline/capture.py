"""From a source to its stream's mailbox."""

from __future__ import annotations

import logging
import random
import threading
from dataclasses import replace
from fractions import Fraction

from yolostream.errors import SourceError
from yolostream.frame import Frame
from yolostream.pipeline.stream import Stream
from yolostream.sources import Reading

BACKOFF_S = (1.0, 60.0)
"""Shortest and longest wait until a camera that broke off is opened again."""

_log = logging.getLogger(__name__)


class Capture:
    """A thread that opens a source and reads it, again and again where it is a camera.

    Args:
        stream: where its frames go.
        reading: how much of it is made into pictures.
    """

    def __init__(self, stream: Stream, reading: Reading) -> None:
        self._stream = stream
        self._source = stream.plan.source
        self._reading = reading
        self._continuity = Continuity()
        name = f"{self._source.name} reader"
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        try:
            self._read_on()
        except SourceError as error:
            # What is on its way still gets written: the source failed, not its frames.
            self._stream.status.errors.append(error)
        except Exception as error:
            self._stream.fail(error)
        finally:
            self._stream.mailbox.close()

    def _read_on(self) -> None:
        """Read session after session. A source that never gave a frame is not tried again."""
        failures = 0
        while not self._stream.mailbox.is_closed:
            before = self._continuity.next_index
            try:
                self._read()
                problem = "the stream ended"
            except SourceError as error:
                known = self._continuity.has_frames or self._stream.plan.resumes
                if not self._source.reopens or not known:
                    raise
                problem = str(error)
            if not self._source.reopens or self._stream.mailbox.is_closed:
                return
            failures = failures + 1 if self._continuity.next_index == before else 0
            self._back_off(failures, problem)

    def _read(self) -> None:
        """Read one session to its end, or until nobody takes frames any more."""
        status = self._stream.status
        status.state = "connecting"
        session = self._source.open(self._reading)
        try:
            self._stream.opened(session)
            status.state = "running"
            self._continuity.begin()
            frames = iter(session)
            while True:
                with status.timer.stage("decode"):
                    frame = next(frames, None)
                if frame is None or not self._stream.mailbox.put(self._continuity.placed(frame)):
                    return
        finally:
            session.close()

    def _back_off(self, failures: int, problem: str) -> None:
        """Wait the longer the more often it failed, never in step with others."""
        shortest, longest = BACKOFF_S
        delay_s = random.uniform(0.5, 1.0) * min(longest, shortest * 2**failures)
        status = self._stream.status
        status.state = "backoff"
        status.reconnects += 1
        _log.warning("%s: %s; opened again in %.1f s", self._source.name, problem, delay_s)
        self._stream.stop.wait(delay_s)


class Continuity:
    """Indices and times that go on where a source is opened again."""

    def __init__(self) -> None:
        self.next_index = 0
        self._session = -1
        self._begins = True
        self._index_offset = 0
        self._offset_s = 0.0
        # Of the last frame, whose picture must not be kept.
        self._time_base = Fraction(1)
        self._pts = 0
        self._captured_at = 0.0

    @property
    def has_frames(self) -> bool:
        """Whether there has been any frame."""
        return self.next_index > 0

    def begin(self) -> None:
        """The next frame is the first of a session."""
        self._session += 1
        self._begins = True

    def placed(self, frame: Frame) -> Frame:
        """The frame, behind those of the sessions before, by the time that lay between."""
        if not self.has_frames:
            self._time_base = frame.time_base
        elif self._begins:
            gap_s = max(0.0, frame.captured_at - self._captured_at)
            self._index_offset = self.next_index - frame.index
            self._offset_s = float(self._pts * self._time_base) + gap_s - frame.pts_seconds
        self._begins = False
        if self._session:
            pts = round((frame.pts_seconds + self._offset_s) / self._time_base)
            frame = replace(
                frame,
                index=frame.index + self._index_offset,
                pts=max(pts, self._pts + 1),
                time_base=self._time_base,
                session=self._session,
            )
        self.next_index = frame.index + 1
        self._pts, self._captured_at = frame.pts, frame.captured_at
        return frame
