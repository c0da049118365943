"""A video file that plays like a camera: in real time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from yolostream.frame import Frame
from yolostream.sources.pace import Pace
from yolostream.sources.presence import Presence
from yolostream.sources.source import EVERYTHING, Reading, Session
from yolostream.sources.video import Video, VideoSession


@dataclass(frozen=True)
class Realtime:
    """A video file as a live source."""

    video: Video
    loops: bool = False
    """Start again at the end; indices and timestamps continue."""
    is_live = True
    is_video = True

    @property
    def reopens(self) -> bool:
        """Whether it is endless: like a camera, it is opened again after an error."""
        return self.loops

    @property
    def name(self) -> str:
        """The video's name."""
        return self.video.name

    @property
    def is_pipe(self) -> bool:
        """Whether the video is a pipe."""
        return self.video.is_pipe

    @property
    def files(self) -> list[Path]:
        """The file that it reads."""
        return self.video.files

    def presence(self) -> Presence:
        """See `Source`."""
        return self.video.presence()

    def open(self, reading: Reading = EVERYTHING) -> RealtimeSession:
        """Open the file; playing starts when the first frame is taken."""
        return RealtimeSession(self, reading)


class RealtimeSession(Session):
    """The frames of a file, each at its presentation time."""

    def __init__(self, realtime: Realtime, reading: Reading) -> None:
        self._realtime = realtime
        self._reading = reading
        # One for all rounds: the first picture of a round may follow too soon on the last one.
        self._pace = Pace(reading.most_per_second)
        self._shift_s = 0.0
        self._session = self._open()
        self.frame_rate = self._session.frame_rate
        self.frame_count = None if realtime.loops else self._session.frame_count

    def __iter__(self) -> Iterator[Frame]:
        """Wait for each frame's time; see `Session`."""
        first: float | None = None
        started = time.monotonic()
        for frame in self._endless() if self._realtime.loops else self._session:
            first = frame.pts_seconds if first is None else first
            due = started + frame.pts_seconds - first
            # Set ahead, so that the watchdog does not take the wait below for a stalled source.
            self.decoded_at = max(due, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
            # The frame was decoded ahead of its time, but counts as captured now.
            yield replace(frame, captured_at=time.time(), decoded_at=time.monotonic())

    def close(self) -> None:
        """Close the file."""
        self._session.close()

    def cancel(self) -> None:
        """See `Session`."""
        self._session.cancel()

    def _endless(self) -> Iterator[Frame]:
        index = shift = 0
        while True:
            for frame in self._session:
                yield replace(frame, index=index + frame.index, pts=shift + frame.pts)
            index, shift = index + self._session.decoded, shift + self._session.length
            self._shift_s = float(shift * self._session.time_base)
            self._session.close()
            self._session = self._open()

    def _open(self) -> VideoSession:
        return VideoSession(self._realtime.video, self._reading, self._takes)

    def _takes(self, seconds: float) -> bool:
        return self._pace.takes(self._shift_s + seconds)
