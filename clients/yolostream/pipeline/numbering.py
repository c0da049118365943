"""Numbers of objects that go on where a source is opened again."""

from __future__ import annotations

from dataclasses import replace

from yolostream.detections import Detections
from yolostream.frame import Frame
from yolostream.pipeline.tracking import Tracker


class Numbering:
    """Follows the objects of one source through all its sessions.

    After a gap other objects are there: each session has a tracker of its own, whose numbers begin
    behind those of the sessions before.
    """

    def __init__(self) -> None:
        self.frame_rate = 1.0
        """Frames per second of the session that comes next."""
        self.count = 0
        """Different objects that got a number so far."""
        self._session = -1
        self._before = 0

    def update(self, frame: Frame, detections: Detections) -> Detections:
        """Number the objects of the next frame; see `Tracker.update`."""
        if frame.session != self._session:
            self._session, self._before = frame.session, self.count
            self._tracker = Tracker(self.frame_rate)
        tracked = self._tracker.update(detections)
        self.count = self._before + self._tracker.count
        numbers = tracked.track_ids
        if not self._before or numbers is None:
            return tracked
        return replace(tracked, track_ids=numbers + self._before * (numbers > 0))
