"""The worker process, which reads some of the sources of a run."""

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
"""How long closing the detector may wait for the answers of a server that hangs."""


class Connect(Protocol):
    """Makes the detector of a process. It can be pickled."""

    def __call__(self, *, max_in_flight: int) -> Detector:
        """Connect to the server, with at most `max_in_flight` requests in flight."""


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
        sources: the sources of this process.
        job: what to do with them.
        detector: shared by all sources.
        cells: the cells of the tiled picture, by the names of the sources.
        should_stop: called several times a second.
        on_tick: called as often, with the status of each source.

    Returns:
        The last status of each source.
    """
    # Reserving memory takes time: done now, it costs live sources no frames later. If the server is
    # unavailable, it is done with the first frame.
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
    """Close the detector after the block, in which all requests were answered or given up."""
    try:
        yield
    finally:
        detector.close(timeout_s=CLOSE_TIMEOUT_S)


class ToParent:
    """Sends messages to the parent from any thread; serves as the queue of `QueueHandler`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def put_nowait(self, message: object) -> None:
        """Send a message; it is lost if the parent has ended."""
        # The end of the parent is noticed elsewhere: it closes the pipe, which stops the worker.
        with self._lock, contextlib.suppress(OSError):
            self._connection.send(message)


def begin(parent: ToParent, *, on_stop: Callable[[], None]) -> None:
    """Set up signals, threads and logging of a child process.

    Args:
        parent: receives the log records.
        on_stop: called on SIGTERM.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: on_stop())
    # Ctrl-C in a terminal reaches all processes. Only the parent acts on it, and stops the others.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    unblock_signals()
    # There are enough processes to use all cores.
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
    """The target of the process; see `Worker`."""
    asked = threading.Event()
    parent = ToParent(connection)
    begin(parent, on_stop=asked.set)

    def should_stop() -> bool:
        # `poll` is true when the parent has sent its request to stop, or has ended.
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
    """Connect to the server. It was there for the parent, so if it is away now, wait for it."""
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
