"""The output that is a cell of the tiled picture, and the interface of a cell."""

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
        """Note that the source has been opened, with this many frames per second."""

    def add(self, time_s: float, planes: Planes) -> None:
        """Add a picture; wait while the source is too far ahead of the others.

        Args:
            time_s: seconds since the first frame of the source.
            planes: a picture with the size of the cell. It must not be changed afterwards.

        Raises:
            OutputError: the video cannot be written.
        """

    def close(self) -> None:
        """Note that the source has no more frames."""

    def cancel(self) -> None:
        """End the wait in `add`; its picture, and later ones, are discarded."""


class Tile:
    """The output that puts the frames of one source into its cell of the grid."""

    kind = "tiled"
    draws = True
    lost = 0

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._first_pts_seconds: float | None = None

    def open(self, frame_rate: Fraction) -> None:
        """See `Cell`."""
        self._cell.open(frame_rate)

    def write(self, frame: Frame, annotated: Image, detections: Detections) -> None:
        """Add one frame; see `Output`."""
        if self._first_pts_seconds is None:
            self._first_pts_seconds = frame.pts_seconds
        # Converted here, because here the sources do it concurrently, unlike in the grid.
        planes = planes_of(fitted(annotated, self._cell.height, self._cell.width))
        self._cell.add(frame.pts_seconds - self._first_pts_seconds, planes)

    def close(self) -> None:
        """See `Cell`."""
        self._cell.close()
