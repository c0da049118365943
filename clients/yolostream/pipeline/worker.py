"""A process that feeds some of the sources of a run, as its parent sees it and from inside."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import math
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Protocol

import cv2

from yolostream.client.detector import Detector
from yolostream.errors import (
    ModelUnavailable,
    ServerUnavailable,
    WorkerError,
    YolostreamError,
)
from yolostream.interruption import defer_signals
from yolostream.outputs.remote_cell import RemoteCells
from yolostream.outputs.tiled import Cell, Tile
from yolostream.pipeline import runner
from yolostream.pipeline.job import Job
from yolostream.pipeline.runner import OnTick
from yolostream.pipeline.status import Status
from yolostream.sources import Source

MAX_DEATHS = 3
"""A worker that dies so often, one after the other, is not started again."""
CLOSE_TIMEOUT_S = 1.0
"""For what a server that hangs still has."""
_END_S = 2.0
"""That a process takes to end once it has said all."""
_HEALTHY_S = 60.0
"""One that lived so long starts to count anew."""

_log = logging.getLogger(__name__)
_spawn = multiprocessing.get_context("spawn")


class Connect(Protocol):
    """Makes the detector of a process. It can be pickled."""

    def __call__(self, *, max_in_flight: int) -> Detector:
        """Connect to the server, with room for so many requests on their way."""


def run_here(
    sources: Sequence[Source],
    job: Job,
    detector: Detector,
    cells: Mapping[str, Cell],
    *,
    should_stop: Callable[[], bool] = lambda: False,
    on_tick: OnTick = lambda statuses: None,
) -> list[Status]:
    """Run sources in this process; see `runner.run`.

    Args:
        sources: those of this process.
        job: what is done with them.
        detector: shared by all.
        cells: of the tiled picture, by the name of the source.
        should_stop: asked several times a second.
        on_tick: called as often.
    """
    # Live sources would lose their first frames meanwhile.
    detector.reserve(job.batching.size)
    tiles = {name: Tile(cell) for name, cell in cells.items()}
    return runner.run(
        [job.plan(source, tiles.get(source.name)) for source in sources],
        detector,
        batching=job.batching,
        reading=job.reading(detector.model.input_size),
        should_stop=should_stop,
        on_tick=on_tick,
    )


@contextlib.contextmanager
def closing(detector: Detector) -> Iterator[None]:
    """Close it after the block, in which everything that was sent came back or was given up."""
    try:
        yield
    finally:
        detector.close(timeout_s=CLOSE_TIMEOUT_S)


class Worker:
    """A child process, started again with the sources that it had not finished when it died.

    Args:
        sources: that it feeds.
        job: what is done with them.
        connect: makes its detector.
        max_in_flight: its requests on their way at once.
        cells: of the tiled picture.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        job: Job,
        connect: Connect,
        *,
        max_in_flight: int,
        cells: RemoteCells,
    ) -> None:
        self.statuses = {source.name: Status(source.name) for source in sources}
        self.is_done = False
        self._sources = list(sources)
        self._job = job
        self._connect = connect
        self._max_in_flight = max_in_flight
        self._cells = cells
        self._stopping = False
        self._deaths = 0
        self._start()

    def receive(self) -> None:
        """Take one message, or the end."""
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            self._died()
            return
        match message:
            case None:
                self.is_done = True
            case logging.LogRecord():
                logging.getLogger(message.name).handle(message)
            case YolostreamError():
                self._give_up(message)
            case _:
                self.statuses.update({status.name: status for status in message})

    def ask_to_stop(self) -> None:
        """Let it finish what is on its way."""
        self._stopping = True
        with contextlib.suppress(OSError):
            self.connection.send(None)

    def close(self) -> None:
        """End it, if it has not ended."""
        if not self.is_done:
            self._process.kill()
        self._process.join(_END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()
        self.connection.close()

    def _start(self) -> None:
        self.connection, theirs = _spawn.Pipe()
        cells = self._cells.connect(self._sources)
        self._process = _spawn.Process(
            target=_work,
            args=(self._sources, self._job, self._connect, self._max_in_flight, cells, theirs),
            daemon=True,
        )
        # Nobody may know of a process that was started while a signal tore us away.
        with defer_signals():
            self._process.start()
        self._started = time.monotonic()
        # The last copies of these ends are its own now: their end is its end.
        theirs.close()
        for cell in cells.values():
            cell.disconnect()

    def _died(self) -> None:
        self._process.join(_END_S)
        lived_s = time.monotonic() - self._started
        self._deaths = 1 if lived_s > _HEALTHY_S else self._deaths + 1
        self._sources = [source for source in self._sources if self._is_unfinished(source)]
        names = ", ".join(source.name for source in self._sources)
        how = f"a worker ended with code {self._process.exitcode}"
        if self._stopping or not self._sources:
            self._give_up(WorkerError(f"{how} while it was asked to stop: {names} may lack an end"))
        elif self._deaths < MAX_DEATHS:
            _log.warning("%s and is started again; %s: from the start", how, names)
            self.close()
            results = self._job.results
            self._job = replace(self._job, results=replace(results, part=results.part + 1))
            self._start()
        else:
            times = f", {self._deaths} times one after the other"
            self._give_up(
                WorkerError(f"{how}{times}; it read {names}: leave out the one that it dies of")
            )

    def _is_unfinished(self, source: Source) -> bool:
        return self.statuses[source.name].state not in ("ended", "failed")

    def _give_up(self, error: YolostreamError) -> None:
        unfinished = [source for source in self._sources if self._is_unfinished(source)]
        for source in unfinished:
            self.statuses[source.name].state = "failed"
            self.statuses[source.name].errors.append(error)
        self._cells.abandon(source.name for source in unfinished)
        self.is_done = True


class _ToParent:
    """What a worker says, from any of its threads; a queue to `QueueHandler`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def put_nowait(self, message: object) -> None:
        # A parent that is gone has said so by its end of the pipe.
        with self._lock, contextlib.suppress(OSError):
            self._connection.send(message)


def _work(
    sources: Sequence[Source],
    job: Job,
    connect: Connect,
    max_in_flight: int,
    cells: Mapping[str, Cell],
    connection: Connection,
) -> None:
    """What the process does."""
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: asked.set())
    # Ctrl-C reaches all processes of a terminal: the parent says what becomes of it.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # There are as many of us as the cores have room for.
    cv2.setNumThreads(1)
    parent = _ToParent(connection)
    logging.getLogger().addHandler(logging.handlers.QueueHandler(parent))  # type: ignore[arg-type]
    try:
        detector = _connected(connect, max_in_flight, sources, job)
        with closing(detector):
            run_here(
                sources,
                job,
                detector,
                cells,
                # A word from the parent, or its end.
                should_stop=lambda: asked.is_set() or connection.poll(),
                on_tick=parent.put_nowait,
            )
    except YolostreamError as error:
        parent.put_nowait(error)
    parent.put_nowait(None)


def _connected(
    connect: Connect, max_in_flight: int, sources: Sequence[Source], job: Job
) -> Detector:
    """Connect. The parent has found the server: if it is away now, it is waited for."""
    patience_s = job.server_patience_s
    if patience_s and any(source.is_live for source in sources):
        patience_s = math.inf
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return connect(max_in_flight=max_in_flight)
        except (ServerUnavailable, ModelUnavailable):
            if time.monotonic() >= deadline:
                raise
            time.sleep(1)
