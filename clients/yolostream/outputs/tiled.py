"""The tiled picture: all sources in one MP4, synchronized by their timestamps."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from yolostream.errors import OutputError
from yolostream.outputs.planes import Planes, plane_views, planes_of
from yolostream.outputs.tile import Cell
from yolostream.outputs.video import DEFAULT_BITRATE, VideoFile

MAX_WIDTH = 1920
CELL_WIDTH = 640
ASPECT = Fraction(9, 16)
MAX_FRAME_RATE = Fraction(60)
# Frames that a cell may be ahead of the slowest one.
AHEAD = 8
# Tolerance for rounding errors in times such as 1001/30000 s.
_TOLERANCE_S = 5e-7


@dataclass
class _CellQueue:
    is_live: bool
    waiting: deque[tuple[float, Planes]] = field(default_factory=deque)
    """Times in seconds since the source's first frame, and pictures of the cell's size."""
    open: bool = True

    def knows(self, time_s: float) -> bool:
        """Whether all frames up to `time_s` have arrived."""
        return bool(self.waiting) and self.waiting[-1][0] > time_s


class Tiled:
    """A video of a grid of cells. Files wait for each other, but not for live sources.

    Args:
        path: the file to write.
        are_live: for each source, whether it is live.
        bitrate: bits per second.
        threads: number of encoder threads.
    """

    def __init__(
        self,
        path: Path,
        *,
        are_live: Sequence[bool],
        bitrate: int = DEFAULT_BITRATE,
        threads: int = 1,
    ) -> None:
        self._path = path
        self._bitrate = bitrate
        self._threads = threads
        self._cells = [_CellQueue(is_live=is_live) for is_live in are_live]
        self._columns = math.ceil(math.sqrt(len(are_live)))
        rows = math.ceil(len(are_live) / self._columns)
        self.cell_width = min(CELL_WIDTH, MAX_WIDTH // self._columns) // 2 * 2
        self.cell_height = round(self.cell_width * ASPECT) // 2 * 2
        self._size = rows * self.cell_height, self._columns * self.cell_width
        # In the encoder's format, so that only pictures that change are converted.
        self._canvas = planes_of(np.zeros((*self._size, 3), np.uint8))
        self._tick = 0
        self._error: OutputError | None = None
        self._changed = threading.Condition()
        self._file: VideoFile | None = None
        # The highest rate of the sources that were opened before the first picture is written.
        self._frame_rate = Fraction(1)

    def cell(self, number: int) -> Cell:
        """The cell of source `number`."""
        return _GridCell(self, number)

    def open_cell(self, number: int, frame_rate: Fraction) -> None:
        """Note that a source has been opened."""
        with self._changed:
            if self._file is None:
                self._frame_rate = min(max(self._frame_rate, frame_rate), MAX_FRAME_RATE)

    def add(
        self,
        number: int,
        time_s: float,
        planes: Planes,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Add a picture to a cell; wait while the cell is too far ahead. See `Cell`.

        Raises:
            OutputError: the video cannot be written.
        """
        cell = self._cells[number]
        with self._changed:
            self._changed.wait_for(
                lambda: self._error or is_cancelled() or cell.is_live or len(cell.waiting) < AHEAD
            )
            if self._error is not None:
                raise self._error
            if is_cancelled():
                return
            if cell.is_live and len(cell.waiting) >= AHEAD:
                # A file in the grid is slower than real time. The oldest frame is dropped.
                cell.waiting.popleft()
            if cell.waiting and self._tick_of(cell.waiting[-1][0]) == self._tick_of(time_s):
                # Only the last frame of a tick is shown. If all were kept, a cell could be full
                # before it has the frame that other cells wait for.
                cell.waiting.pop()
            cell.waiting.append((time_s, planes))
            self._advance()

    def close_cell(self, number: int) -> None:
        """Note that a source has no more frames; the last source to close finishes the file."""
        with self._changed:
            if not self._cells[number].open:
                return
            self._cells[number].open = False
            try:
                self._advance()
            finally:
                if self._file and not any(cell.open for cell in self._cells):
                    self._file.close()

    def wake(self) -> None:
        """Make the threads that wait in `add` check again whether they have to."""
        with self._changed:
            self._changed.notify_all()

    def _advance(self) -> None:
        """Draw and write all ticks whose frames have arrived.

        Only ticks at which a cell changes are drawn. Other threads wait meanwhile, so the time
        depends on the number of frames only, and not on how far apart they are.
        """
        if self._error is not None:
            return
        try:
            while self._is_known(time_s := (tick := self._next_tick()) / float(self._frame_rate)):
                for number, cell in enumerate(self._cells):
                    self._show(number, cell, time_s)
                self._opened_file().write_planes(self._canvas, tick)
                self._tick = tick + 1
        except OutputError as error:
            self._error = error
            raise
        finally:
            self._changed.notify_all()

    def _next_tick(self) -> int:
        """The next tick at which a cell changes, by the frames that have arrived."""
        changes = [self._tick_of(cell.waiting[0][0]) for cell in self._cells if cell.waiting]
        return min(changes, default=self._tick)

    def _tick_of(self, time_s: float) -> int:
        """The tick at which a frame with this time is shown, unless a later frame replaces it."""
        return max(self._tick, math.ceil((time_s - _TOLERANCE_S) * self._frame_rate))

    def _opened_file(self) -> VideoFile:
        if self._file is None:
            self._file = VideoFile(
                self._path,
                height=self._size[0],
                width=self._size[1],
                frame_rate=self._frame_rate,
                time_base=1 / self._frame_rate,
                bitrate=self._bitrate,
                threads=self._threads,
            )
        return self._file

    def _is_known(self, time_s: float) -> bool:
        if not any(cell.open for cell in self._cells):
            return any(cell.waiting for cell in self._cells)
        awaited = [cell for cell in self._cells if cell.open and not cell.is_live]
        return any(cell.knows(time_s) for cell in self._cells) and all(
            cell.knows(time_s) for cell in awaited
        )

    def _show(self, number: int, cell: _CellQueue, time_s: float) -> None:
        planes = None
        while cell.waiting and cell.waiting[0][0] <= time_s + _TOLERANCE_S:
            _, planes = cell.waiting.popleft()
        if planes is not None:
            row, column = divmod(number, self._columns)
            for canvas, plane in zip(plane_views(self._canvas), plane_views(planes), strict=True):
                height, width = plane.shape
                top, left = row * height, column * width
                canvas[top : top + height, left : left + width] = plane


class _GridCell:
    """A cell in this process."""

    def __init__(self, tiled: Tiled, number: int) -> None:
        self._tiled = tiled
        self._number = number
        self._is_cancelled = False
        self.height, self.width = tiled.cell_height, tiled.cell_width

    def open(self, frame_rate: Fraction) -> None:
        """See `Cell`."""
        self._tiled.open_cell(self._number, frame_rate)

    def add(self, time_s: float, planes: Planes) -> None:
        """See `Cell`."""
        self._tiled.add(self._number, time_s, planes, lambda: self._is_cancelled)

    def close(self) -> None:
        """See `Cell`."""
        self._tiled.close_cell(self._number)

    def cancel(self) -> None:
        """See `Cell`."""
        self._is_cancelled = True
        self._tiled.wake()
