"""The output of one source that is a cell of the tiled picture, wherever that is drawn."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol

from yolostream.detections import Detections
from yolostream.frame import Frame
from yolostream.image import Image
from yolostream.outputs.planes import Planes, fitted, planes_of


class Cell(Protocol):
    """A cell of the grid, in this process or another."""

    height: int
    width: int

    def open(self, frame_rate: Fraction) -> None:
        """The source has been opened."""

    def add(self, time_s: float, planes: Planes) -> None:
        """Put a picture of the cell's size into it, waiting while it is too far ahead.

        Args:
            time_s: since the first frame of the source.
            planes: of the picture; they are not changed afterwards.

        Raises:
            OutputError: the video cannot be written.
        """

    def close(self) -> None:
        """No more frames of this source."""

    def cancel(self) -> None:
        """Let go who waits in `add`; what it brings is not wanted any more."""


class Tile:
    """The output of one source: its cell of the grid."""

    kind = "tiled"
    draws = True
    lost = 0

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._first_pts_seconds: float | None = None

    def open(self, frame_rate: Fraction) -> None:
        """The source has been opened."""
        self._cell.open(frame_rate)

    def write(self, frame: Frame, annotated: Image, detections: Detections) -> None:
        """Add one frame; see `Output`."""
        if self._first_pts_seconds is None:
            self._first_pts_seconds = frame.pts_seconds
        # Converted here, where sources do it side by side, not one after the other in the grid.
        planes = planes_of(fitted(annotated, self._cell.height, self._cell.width))
        self._cell.add(frame.pts_seconds - self._first_pts_seconds, planes)

    def close(self) -> None:
        """No more frames of this source."""
        self._cell.close()
