"""Track numbers that continue across the sessions of a source."""

from __future__ import annotations

from dataclasses import replace

from yolostream.detections import Detections
from yolostream.frame import Frame
from yolostream.pipeline.tracking import Tracker

MAX_GAP_S = 3.0
MAX_GAP_FRAMES = 10
"""After a gap that is longer than both, tracking starts anew."""


class Numbering:
    """Tracks the objects of one source through all its sessions.

    A new tracker starts after a gap and when the picture's size or the frame rate changes, because
    the predicted boxes are wrong then. Its numbers continue after those of the previous one.
    """

    def __init__(self) -> None:
        self.frame_rate = 1.0
        """Frames per second from the next frame on."""
        self.count = 0
        """Number of tracks so far."""
        self._before = 0
        self._last: tuple[int, tuple[int, int], float] | None = None
        self._last_rate = 1.0

    def update(self, frame: Frame, detections: Detections) -> Detections:
        """Number the objects of the next frame; see `Tracker.update`."""
        if not self._goes_on(frame):
            self._before = self.count
            self._tracker = Tracker(self.frame_rate)
            self._last_rate = self.frame_rate
        self._last = frame.session, frame.size, frame.pts_seconds
        tracked = self._tracker.update(detections)
        self.count = self._before + self._tracker.count
        numbers = tracked.track_ids
        if not self._before or numbers is None:
            return tracked
        return replace(tracked, track_ids=numbers + self._before * (numbers > 0))

    def _goes_on(self, frame: Frame) -> bool:
        """Whether the frame continues the last one, so that the tracker can be kept."""
        if self._last is None or self._last_rate != self.frame_rate:
            return False
        session, size, seconds = self._last
        longest_gap_s = max(MAX_GAP_S, MAX_GAP_FRAMES / self.frame_rate)
        gap_s = frame.pts_seconds - seconds
        return (frame.session, frame.size) == (session, size) and gap_s <= longest_gap_s
