"""Frame indices and times that continue across the sessions of a source."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from yolostream.frame import Frame


class Continuity:
    """Makes frame indices and times continue when a source is opened again."""

    def __init__(self) -> None:
        self.next_index = 0
        self._session = -1
        self._begins = True
        self._index_offset = 0
        self._offset_s = 0.0
        # Copied from the last frame: keeping the frame itself would keep its picture.
        self._time_base = Fraction(1)
        self._pts = 0
        self._decoded_at = 0.0

    @property
    def has_frames(self) -> bool:
        """Whether there was a frame in any session."""
        return self.next_index > 0

    def begin(self) -> None:
        """Begin a session; the next frame is its first."""
        self._session += 1
        self._begins = True

    def placed(self, frame: Frame) -> Frame:
        """The frame with its index and time after those of earlier sessions, by the real gap."""
        if not self.has_frames:
            self._time_base = frame.time_base
        elif self._begins:
            gap_s = max(0.0, frame.decoded_at - self._decoded_at)
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
        self._pts, self._decoded_at = frame.pts, frame.decoded_at
        return frame
