"""What a process does that feeds some of the sources of a run."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Protocol

import cv2

from yolostream.client.detector import Detector
from yolostream.errors import AccessDenied, ServerError, YolostreamError
from yolostream.interruption import unblock_signals
from yolostream.outputs.tile import Cell, Tile
from yolostream.pipeline import runner
from yolostream.pipeline.job import Job
from yolostream.pipeline.runner import OnTick
from yolostream.pipeline.status import Status
from yolostream.redaction import print_traceback
from yolostream.sources import Source

CLOSE_TIMEOUT_S = 1.0
"""For what a server that hangs still has."""


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
    # Live sources would lose their first frames meanwhile. So they do if the server is away now.
    with contextlib.suppress(ServerError):
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


class ToParent:
    """What a worker says, from any of its threads; a queue to `QueueHandler`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def put_nowait(self, message: object) -> None:
        """Say something."""
        # A parent that is gone has said so by its end of the pipe.
        with self._lock, contextlib.suppress(OSError):
            self._connection.send(message)


def begin(parent: ToParent, *, on_stop: Callable[[], None]) -> None:
    """What a process of ours does first.

    Args:
        parent: gets what is logged.
        on_stop: is called when somebody asks this process to stop.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: on_stop())
    # Ctrl-C reaches all processes of a terminal: the parent says what becomes of it.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    unblock_signals()
    # There are as many of us as the cores have room for.
    cv2.setNumThreads(1)
    logging.getLogger().addHandler(logging.handlers.QueueHandler(parent))  # type: ignore[arg-type]


@print_traceback()
def work(
    sources: Sequence[Source],
    job: Job,
    connect: Connect,
    max_in_flight: int,
    cells: Mapping[str, Cell],
    connection: Connection,
) -> None:
    """What the process does."""
    asked = threading.Event()
    parent = ToParent(connection)
    begin(parent, on_stop=asked.set)

    def should_stop() -> bool:
        # A word from the parent, or its end.
        return asked.is_set() or connection.poll()

    try:
        detector = _connected(connect, max_in_flight, sources, job, should_stop)
        with closing(detector):
            run_here(
                sources,
                job,
                detector,
                cells,
                should_stop=should_stop,
                on_tick=parent.put_nowait,
            )
    except YolostreamError as error:
        parent.put_nowait(error)
    parent.put_nowait(None)


def _connected(
    connect: Connect,
    max_in_flight: int,
    sources: Sequence[Source],
    job: Job,
    should_stop: Callable[[], bool],
) -> Detector:
    """Connect. The parent has found the server: if it is away now, it is waited for."""
    patience_s = job.server_patience_s
    if patience_s and any(source.is_live for source in sources):
        patience_s = math.inf
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return connect(max_in_flight=max_in_flight)
        except ServerError as error:
            is_late = time.monotonic() >= deadline
            if is_late or isinstance(error, AccessDenied) or should_stop():
                raise
            time.sleep(1)
