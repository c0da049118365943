"""Cells of the tiled picture for sources that other processes read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import numpy as np

from yolostream.errors import OutputError
from yolostream.outputs.planes import Planes
from yolostream.outputs.tile import Cell
from yolostream.sources import Source

CLOSE_TIMEOUT_S = 2.0
"""Seconds that the last pictures may take to be written at the end."""


class RemoteCell:
    """A cell in the process that reads the source; see `Cell`. It can be passed to a new process.

    Args:
        connection: a pipe to a `_Feed`, which takes pictures as fast as the grid does.
        height: height of the cell in pixels.
        width: width of the cell in pixels.
    """

    def __init__(self, connection: Connection, *, height: int, width: int) -> None:
        self.height, self.width = height, width
        self._connection = connection

    def open(self, frame_rate: Fraction) -> None:
        """See `Cell`."""
        self._send(frame_rate)

    def add(self, time_s: float, planes: Planes) -> None:
        """Send a picture.

        Raises:
            OutputError: the tiled picture has failed.
        """
        self._send(time_s)
        self._send(planes)

    def close(self) -> None:
        """See `Cell`."""
        self._send(None)

    def cancel(self) -> None:
        """Do nothing: only the process of the grid cancels."""

    def disconnect(self) -> None:
        """Close this process's copy of the pipe's end, after another process got it."""
        self._connection.close()

    def _send(self, message: Fraction | float | Planes | None) -> None:
        try:
            if isinstance(message, np.ndarray):
                self._connection.send_bytes(message.reshape(-1).data)
            else:
                self._connection.send(message)
        except OSError as error:
            raise OutputError(
                "the tiled picture breaks off here: its writer has failed, see its own error"
            ) from error


class RemoteCells:
    """Passes the pictures from other processes to the grid.

    Args:
        new_cells: functions that make a cell of the grid, by the name of its source.
    """

    def __init__(self, new_cells: Mapping[str, Callable[[], Cell]]) -> None:
        self._new_cells = new_cells
        self._feeds: dict[str, _Feed] = {}
        self._errors: dict[str, OutputError] = {}

    def connect(self, sources: Sequence[Source]) -> dict[str, RemoteCell]:
        """Make the cells of a new process, which may replace an earlier process."""
        shown = [source for source in sources if source.name in self._new_cells]
        return {source.name: self._connect(source) for source in shown}

    def abandon(self, names: Iterable[str]) -> None:
        """Close the cells of sources that send no more pictures, so that no cell waits for them."""
        for name in names:
            if name in self._new_cells:
                if name in self._feeds:
                    self._feeds[name].cancel()
                try:
                    self._new_cells[name]().close()
                except OutputError as error:
                    self._errors.setdefault(name, error)

    def close(self) -> None:
        """Write the pictures that were sent, and close the grid."""
        deadline = time.monotonic() + CLOSE_TIMEOUT_S
        while time.monotonic() < deadline and any(one.is_alive for one in self._feeds.values()):
            # A process that died has left its cells open, and other cells may wait for them.
            self.abandon(name for name, one in self._feeds.items() if not one.is_alive)
            time.sleep(0.02)
        self.abandon(self._new_cells)

    @property
    def errors(self) -> dict[str, OutputError]:
        """The errors of the cells, by the names of the sources."""
        told = {name: feed.error for name, feed in self._feeds.items() if feed.error is not None}
        return {**self._errors, **told}

    def _connect(self, source: Source) -> RemoteCell:
        ours, theirs = Pipe(duplex=False)
        shown_s = 0.0
        if (before := self._feeds.get(source.name)) is not None:
            # It may be waiting for other cells of the process that died.
            before.cancel()
            shown_s = before.newest_s
        # A camera's times start at zero again and are shifted. A file is read again from the start,
        # and the pictures that were shown are skipped.
        offset_s = shown_s if source.is_live else 0.0
        cell = self._new_cells[source.name]()
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

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def cancel(self) -> None:
        self._cell.cancel()

    def _run(self) -> None:
        # Closing the connection lets the process notice that the cell takes no more pictures.
        with self._connection:
            try:
                while (message := self._connection.recv()) is not None:
                    self._take(message)
                self._cell.close()
            except (EOFError, OSError):
                # The process died. The cell stays open, because the process may be restarted.
                return
            except OutputError as error:
                self.error = error

    def _take(self, message: Fraction | float) -> None:
        if isinstance(message, Fraction):
            self._cell.open(message)
            return
        data = self._connection.recv_bytes()
        planes = np.frombuffer(data, np.uint8).reshape(-1, self._cell.width)
        time_s = message + self._offset_s
        if time_s > self.newest_s or not self.newest_s:
            self.newest_s = time_s
            self._cell.add(time_s, planes)
