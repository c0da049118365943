"""All sources side by side in one MP4, in step with each other."""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from yolostream.detections import Detections
from yolostream.errors import OutputError
from yolostream.frame import Frame
from yolostream.image import Image
from yolostream.outputs.video import DEFAULT_BITRATE, VideoFile, fitted
from yolostream.sources import Source

MAX_WIDTH = 1920
CELL_WIDTH = 640
ASPECT = Fraction(9, 16)
MAX_FRAME_RATE = Fraction(60)
# Frames a cell may be ahead of the slowest one.
AHEAD = 8


@dataclass
class _Cell:
    is_live: bool
    waiting: deque[tuple[float, Image]] = field(default_factory=deque)
    """Times in seconds since the source's first frame, and pictures of the cell's size."""
    open: bool = True

    def knows(self, time_s: float) -> bool:
        """Whether no frame up to `time_s` can still come."""
        return bool(self.waiting) and self.waiting[-1][0] > time_s


class Tiled:
    """One video of a grid. Files wait for each other; nobody waits for a live source."""

    def __init__(
        self, path: Path, *, sources: list[Source], bitrate: int = DEFAULT_BITRATE
    ) -> None:
        self._cells = [_Cell(is_live=source.is_live) for source in sources]
        self._columns = math.ceil(math.sqrt(len(sources)))
        rows = math.ceil(len(sources) / self._columns)
        self.cell_width = min(CELL_WIDTH, MAX_WIDTH // self._columns) // 2 * 2
        self.cell_height = round(self.cell_width * ASPECT) // 2 * 2
        self._canvas = np.zeros(
            (rows * self.cell_height, self._columns * self.cell_width, 3), np.uint8
        )
        self._frame_rate = min(max(source.frame_rate for source in sources), MAX_FRAME_RATE)
        self._tick = 0
        self._failed = False
        self._changed = threading.Condition()
        self._file = VideoFile(
            path,
            height=self._canvas.shape[0],
            width=self._canvas.shape[1],
            frame_rate=self._frame_rate,
            time_base=1 / self._frame_rate,
            bitrate=bitrate,
        )

    def cell(self, number: int) -> Tile:
        """The output of source `number`."""
        return Tile(self, number)

    def add(self, number: int, time_s: float, image: Image) -> None:
        """Put a picture of the cell's size into a cell, waiting while it is too far ahead.

        Raises:
            OutputError: the video cannot be written.
        """
        cell = self._cells[number]
        with self._changed:
            self._changed.wait_for(
                lambda: self._failed or cell.is_live or len(cell.waiting) < AHEAD
            )
            if cell.is_live and len(cell.waiting) >= AHEAD:
                # A file beside it is slower than real time: the oldest is missed the least.
                cell.waiting.popleft()
            cell.waiting.append((time_s, image))
            self._advance()

    def close_cell(self, number: int) -> None:
        """No more frames of this source; the last one to say so finishes the file."""
        with self._changed:
            if not self._cells[number].open:
                return
            self._cells[number].open = False
            try:
                self._advance()
            finally:
                if self._tick and not any(cell.open for cell in self._cells):
                    self._file.close()

    def _advance(self) -> None:
        """Draw every tick that no frame can change any more."""
        try:
            while self._is_known(time_s := self._tick / float(self._frame_rate)):
                for number, cell in enumerate(self._cells):
                    self._show(number, cell, time_s)
                self._file.write(self._canvas, self._tick)
                self._tick += 1
        except OutputError:
            self._failed = True
            raise
        finally:
            self._changed.notify_all()

    def _is_known(self, time_s: float) -> bool:
        if not any(cell.open for cell in self._cells):
            return any(cell.waiting for cell in self._cells)
        awaited = [cell for cell in self._cells if cell.open and not cell.is_live]
        return any(cell.knows(time_s) for cell in self._cells) and all(
            cell.knows(time_s) for cell in awaited
        )

    def _show(self, number: int, cell: _Cell, time_s: float) -> None:
        image = None
        # Half a microsecond of patience with 1001/30000 s and its like.
        while cell.waiting and cell.waiting[0][0] <= time_s + 5e-7:
            _, image = cell.waiting.popleft()
        if image is not None:
            row, column = divmod(number, self._columns)
            top, left = row * self.cell_height, column * self.cell_width
            self._canvas[top : top + self.cell_height, left : left + self.cell_width] = image


class Tile:
    """The output of one source: its cell of the grid."""

    def __init__(self, tiled: Tiled, number: int) -> None:
        self._tiled = tiled
        self._number = number
        self._first_pts_seconds: float | None = None

    def write(self, frame: Frame, annotated: Image, detections: Detections) -> None:
        """Add one frame; see `Output`."""
        if self._first_pts_seconds is None:
            self._first_pts_seconds = frame.pts_seconds
        image = fitted(annotated, self._tiled.cell_height, self._tiled.cell_width)
        # The caller draws on; a frame of just the cell's size must not be shared with it.
        image = image.copy() if image is annotated else image
        self._tiled.add(self._number, frame.pts_seconds - self._first_pts_seconds, image)

    def close(self) -> None:
        """No more frames of this source."""
        self._tiled.close_cell(self._number)
