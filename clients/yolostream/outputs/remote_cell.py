"""Cells of the tiled picture whose sources other processes read."""

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
"""How long pictures that were sent may take into the grid at the end."""


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
        self._send(frame_rate)

    def add(self, time_s: float, planes: Planes) -> None:
        """Send a picture.

        Raises:
            OutputError: nobody takes it.
        """
        self._send(time_s)
        self._send(planes)

    def close(self) -> None:
        """No more frames of this source."""
        self._send(None)

    def cancel(self) -> None:
        """Nobody but the grid's own process cancels."""

    def disconnect(self) -> None:
        """Let go of this process's end, once another process has it."""
        self._connection.close()

    def _send(self, message: Fraction | float | Planes | None) -> None:
        try:
            if isinstance(message, np.ndarray):
                self._connection.send_bytes(message.reshape(-1).data)
            else:
                self._connection.send(message)
        except OSError as error:
            raise OutputError("the tiled picture broke off: its writer gave up") from error


class RemoteCells:
    """Hands what comes from other processes on to the grid.

    Args:
        new_cells: makes a cell of the grid, by the name of the source.
    """

    def __init__(self, new_cells: Mapping[str, Callable[[], Cell]]) -> None:
        self._new_cells = new_cells
        self._feeds: dict[str, _Feed] = {}
        self._errors: dict[str, OutputError] = {}

    def connect(self, sources: Sequence[Source]) -> dict[str, RemoteCell]:
        """Cells for the sources of a new process, also if another had them before."""
        shown = [source for source in sources if source.name in self._new_cells]
        return {source.name: self._connect(source) for source in shown}

    def abandon(self, names: Iterable[str]) -> None:
        """Nothing will come of these sources any more: nobody may wait for them."""
        for name in names:
            if name in self._new_cells:
                if name in self._feeds:
                    self._feeds[name].cancel()
                try:
                    self._new_cells[name]().close()
                except OutputError as error:
                    self._errors.setdefault(name, error)

    def close(self) -> None:
        """Bring what was sent into the grid, and close it."""
        deadline = time.monotonic() + CLOSE_TIMEOUT_S
        while time.monotonic() < deadline and any(one.is_alive for one in self._feeds.values()):
            # A process that died left its cell open, and others may wait for that.
            self.abandon(name for name, one in self._feeds.items() if not one.is_alive)
            time.sleep(0.02)
        self.abandon(self._new_cells)

    @property
    def errors(self) -> dict[str, OutputError]:
        """What went wrong with the grid, by the name of the source."""
        told = {name: feed.error for name, feed in self._feeds.items() if feed.error is not None}
        return {**self._errors, **told}

    def _connect(self, source: Source) -> RemoteCell:
        ours, theirs = Pipe(duplex=False)
        shown_s = 0.0
        if (before := self._feeds.get(source.name)) is not None:
            # It may wait for other cells of the process that died.
            before.cancel()
            shown_s = before.newest_s
        # A camera goes on; of a file that is read again, nothing is shown twice.
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
        # At its end the process learns that nobody takes its pictures any more.
        with self._connection:
            try:
                while (message := self._connection.recv()) is not None:
                    self._take(message)
                self._cell.close()
            except (EOFError, OSError):
                # The process died. The cell stays open: it may be started again.
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
