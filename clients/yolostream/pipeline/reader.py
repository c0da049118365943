"""Reads one session of a source, and can be left alone where it does not come back."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace

from yolostream.frame import Frame
from yolostream.pipeline.continuity import Continuity
from yolostream.pipeline.stream import Stream
from yolostream.sources import Reading, Session

_log = logging.getLogger(__name__)


class Reader:
    """Opens a source once, and brings its frames to its stream until the end.

    Args:
        stream: where frames go.
        reading: how much of the source is made into pictures.
        continuity: numbers the frames of all sessions.
    """

    def __init__(self, stream: Stream, reading: Reading, continuity: Continuity) -> None:
        self.opened, self.ended = threading.Event(), threading.Event()
        """`opened` is also set where it cannot be."""
        self.problem: Exception | None = None
        """What ended it, if anything went wrong."""
        self.first_frame_at: float | None = None
        """`time.monotonic()` at the first frame."""
        self._stream = stream
        self._reading = reading
        self._continuity = continuity
        self._session: Session | None = None
        self._size: tuple[int, int] | None = None
        # Held while anything is handed over: nothing is, once it was abandoned.
        self._handing_over = threading.Lock()
        self._is_abandoned = False

    @property
    def last_picture_at(self) -> float | None:
        """`time.monotonic()` at the last picture; None before the first frame."""
        session, first_at = self._session, self.first_frame_at
        return None if first_at is None or session is None else max(first_at, session.decoded_at)

    def run(self) -> None:
        """Read to the end, or until nobody takes frames any more."""
        try:
            self._read()
        except Exception as error:
            self.problem = error
        finally:
            self.opened.set()
            self.ended.set()

    def abandon(self) -> None:
        """Take no more frames of it, and ask it to end."""
        with self._handing_over:
            self._is_abandoned = True
            if self._session is not None:
                self._session.cancel()

    def _read(self) -> None:
        session = self._stream.plan.source.open(self._reading)
        try:
            if not self._begin(session):
                return
            self.opened.set()
            frames, timer = iter(session), self._stream.status.timer
            while True:
                asked_ns = time.time_ns()
                with timer.stage("decode"):
                    frame = next(frames, None)
                if frame is None or not self._hand_over(frame, asked_ns):
                    return
        finally:
            session.close()

    def _begin(self, session: Session) -> bool:
        with self._handing_over:
            if self._is_abandoned:
                return False
            self._session = session
            self._stream.opened(session)
            self._continuity.begin()
            return True

    def _hand_over(self, frame: Frame, asked_ns: int) -> bool:
        """Whether somebody took the frame, and takes more.

        Args:
            frame: as the session gave it.
            asked_ns: Unix time in nanoseconds at which the session was asked for it.
        """
        with self._handing_over:
            if self._is_abandoned:
                return False
            if self.first_frame_at is None:
                self.first_frame_at = time.monotonic()
                source = self._stream.plan.source
                self._stream.status.enter("live" if source.is_live else "running")
            self._note_size(frame.size)
            self._stream.status.frames_read += 1
            frame = self._continuity.placed(frame)
            if (traces := self._stream.plan.traces) is not None:
                frame = replace(frame, trace=traces.begin(asked_ns, frame.index))
            return self._stream.mailbox.put(frame)

    def _note_size(self, size: tuple[int, int]) -> None:
        if self._size not in (None, size) and self._stream.plan.source.is_video:
            _log.warning(
                "%s: its pictures are %dx%d (height x width) from now on; tracks begin anew, and "
                "videos of it keep the size that they began with",
                self._stream.status.name,
                *size,
            )
        self._size = size
