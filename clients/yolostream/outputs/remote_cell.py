"""Cells of the tiled picture whose sources other processes read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import numpy as np

from yolostream.errors import OutputError
from yolostream.outputs.tiled import Cell
from yolostream.outputs.video import Planes
from yolostream.sources import Source


class RemoteCell:
    """A cell as the other process has it; see `Cell`. It can be given to a new process.

    Args:
        connection: to a `_Feed`, which takes pictures as fast as the grid does.
        height: of the cell, in pixels.
        width: the same.
    """

    def __init__(self, connection: Connection, *, height: int, width: int) -> None:
        self.height, self.width = height, width
        self._connection = connection

    def open(self, frame_rate: Fraction) -> None:
        """The source has been opened."""
        self._connection.send(frame_rate)

    def add(self, time_s: float, planes: Planes) -> None:
        """Send a picture."""
        self._connection.send(time_s)
        self._connection.send_bytes(planes.reshape(-1).data)

    def close(self) -> None:
        """No more frames of this source."""
        self._connection.send(None)

    def disconnect(self) -> None:
        """Let go of this process's end, once another process has it."""
        self._connection.close()


class RemoteCells:
    """Hands what comes from other processes on to the grid.

    Args:
        cells: of the grid, by the name of the source.
    """

    def __init__(self, cells: Mapping[str, Cell]) -> None:
        self._cells = cells
        self._feeds: dict[str, _Feed] = {}

    def connect(self, sources: Sequence[Source]) -> dict[str, RemoteCell]:
        """Cells for the sources of a new process, also if another had them before."""
        return {
            source.name: self._connect(source) for source in sources if source.name in self._cells
        }

    def close(self) -> None:
        """Wait until everything that was sent is in the grid, and close it."""
        for name, cell in self._cells.items():
            if name in self._feeds:
                self._feeds[name].join()
            cell.close()

    @property
    def errors(self) -> dict[str, OutputError]:
        """What went wrong with the grid, by the name of the source."""
        return {name: feed.error for name, feed in self._feeds.items() if feed.error is not None}

    def _connect(self, source: Source) -> RemoteCell:
        ours, theirs = Pipe(duplex=False)
        before, cell = self._feeds.get(source.name), self._cells[source.name]
        shown_s = 0.0
        if before is not None:
            before.join()
            shown_s = before.newest_s
        # A camera goes on; of a file that is read again, nothing is shown twice.
        offset_s = shown_s if source.is_live else 0.0
        self._feeds[source.name] = _Feed(ours, cell, shown_s=shown_s, offset_s=offset_s)
        return RemoteCell(theirs, height=cell.height, width=cell.width)


class _Feed:
    """A thread that takes the pictures of one cell from another process."""

    def __init__(
        self, connection: Connection, cell: Cell, *, shown_s: float, offset_s: float
    ) -> None:
        self.error: OutputError | None = None
        self.newest_s = shown_s
        self._connection = connection
        self._cell = cell
        self._offset_s = offset_s
        self._thread = threading.Thread(target=self._run, name="cell feed", daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        with self._connection:
            try:
                while (message := self._connection.recv()) is not None:
                    self._take(message)
                self._attempt(self._cell.close)
            except (EOFError, OSError):
                # The process died. The cell stays open: it may be started again.
                return

    def _take(self, message: Fraction | float) -> None:
        if isinstance(message, Fraction):
            self._cell.open(message)
            return
        data = self._connection.recv_bytes()
        planes = np.frombuffer(data, np.uint8).reshape(-1, self._cell.width)
        time_s = message + self._offset_s
        if time_s >= self.newest_s:
            self.newest_s = time_s
            self._attempt(lambda: self._cell.add(time_s, planes))

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except OutputError as error:
            # The process goes on: its other outputs are whole.
            self.error = error
