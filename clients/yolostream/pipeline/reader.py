"""Reads one session of a source, and can be abandoned if it hangs."""

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
    """Opens a source once, and passes its frames to its stream until the end.

    Args:
        stream: receives the frames.
        reading: which frames are decoded, and in which size.
        continuity: makes indices and times continue across sessions.
    """

    def __init__(self, stream: Stream, reading: Reading, continuity: Continuity) -> None:
        self.opened, self.ended = threading.Event(), threading.Event()
        """`opened` is also set if opening has failed."""
        self.problem: Exception | None = None
        """The error that ended it; None if there was none."""
        self.first_frame_at: float | None = None
        """`time.monotonic()` at the first frame."""
        self._stream = stream
        self._reading = reading
        self._continuity = continuity
        self._session: Session | None = None
        self._size: tuple[int, int] | None = None
        # Held while a frame is passed on, so that none is passed on after `abandon`.
        self._enqueuing = threading.Lock()
        self._is_abandoned = False

    @property
    def last_picture_at(self) -> float | None:
        """`time.monotonic()` at the last picture; None before the first frame."""
        session, first_at = self._session, self.first_frame_at
        return None if first_at is None or session is None else max(first_at, session.decoded_at)

    def run(self) -> None:
        """Read to the end, or until the stream accepts no more frames."""
        try:
            self._read()
        except Exception as error:
            self.problem = error
        finally:
            self.opened.set()
            self.ended.set()

    def abandon(self) -> None:
        """Discard all further frames of this reader, and ask it to end."""
        with self._enqueuing:
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
                if frame is None or not self._enqueue(frame, asked_ns):
                    return
        finally:
            session.close()

    def _begin(self, session: Session) -> bool:
        with self._enqueuing:
            if self._is_abandoned:
                return False
            self._session = session
            self._stream.opened(session)
            self._continuity.begin()
            return True

    def _enqueue(self, frame: Frame, asked_ns: int) -> bool:
        """Pass a frame to the stream.

        Args:
            frame: a frame of the session.
            asked_ns: Unix time in nanoseconds at which its decoding began.

        Returns:
            Whether the stream accepts more frames.
        """
        with self._enqueuing:
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
                "%s: the size of its pictures changed to %dx%d (height x width); tracking starts "
                "anew, and MP4 files keep their size",
                self._stream.status.name,
                *size,
            )
        self._size = size
