"""A file that plays like a camera: at its own pace, whoever keeps up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from yolostream.frame import Frame
from yolostream.sources.presence import Presence
from yolostream.sources.source import EVERYTHING, Reading, Session
from yolostream.sources.video import Video


@dataclass(frozen=True)
class Realtime:
    """A video file as a live source."""

    video: Video
    loops: bool = False
    """Start again at the end; indices and times go on."""
    is_live = True
    is_video = True

    @property
    def reopens(self) -> bool:
        """One without an end is a camera: where it breaks off, it comes back."""
        return self.loops

    @property
    def name(self) -> str:
        """The video's."""
        return self.video.name

    @property
    def is_pipe(self) -> bool:
        """As the video."""
        return self.video.is_pipe

    @property
    def files(self) -> list[Path]:
        """The file that it reads."""
        return self.video.files

    def presence(self) -> Presence:
        """See `Source`."""
        return self.video.presence()

    def open(self, reading: Reading = EVERYTHING) -> RealtimeSession:
        """Open the file; it plays from the first frame that is taken."""
        return RealtimeSession(self, reading)


class RealtimeSession(Session):
    """The frames of a file, each at its time."""

    def __init__(self, realtime: Realtime, reading: Reading) -> None:
        self._realtime = realtime
        self._reading = reading
        self._session: Session = realtime.video.open(reading)
        self.frame_rate = self._session.frame_rate
        self.frame_count = None if realtime.loops else self._session.frame_count

    def __iter__(self) -> Iterator[Frame]:
        """Wait for each frame's time; see `Session`."""
        first: float | None = None
        started = time.monotonic()
        for frame in self._endless() if self._realtime.loops else self._session:
            first = frame.pts_seconds if first is None else first
            due = started + frame.pts_seconds - first
            # A picture that is there and waits for its time is no reason to give the file up.
            self.decoded_at = max(due, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
            # What a camera would have sent now was decoded a little ahead.
            yield replace(frame, captured_at=time.time(), decoded_at=time.monotonic())

    def close(self) -> None:
        """Let go of the file."""
        self._session.close()

    def cancel(self) -> None:
        """See `Session`."""
        self._session.cancel()

    def _endless(self) -> Iterator[Frame]:
        index = shift = 0
        while True:
            for frame in self._session:
                if frame.index == 0:
                    begin = frame.pts
                yield replace(frame, index=index + frame.index, pts=shift + frame.pts)
                last = frame
            step = round(1 / (self.frame_rate * last.time_base))
            index, shift = index + last.index + 1, shift + last.pts - begin + step
            self._session.close()
            self._session = self._realtime.video.open(self._reading)
