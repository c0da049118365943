"""The parent's side of a worker process, which reads some of the sources of a run."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection

from yolostream.errors import WorkerError, YolostreamError
from yolostream.outputs.remote_cell import RemoteCells
from yolostream.pipeline.child_process import ChildProcess
from yolostream.pipeline.job import Job
from yolostream.pipeline.status import FINAL, Status
from yolostream.pipeline.worker_process import Connect, work
from yolostream.sources import Source

MAX_DEATHS = 3
"""Consecutive deaths after which a worker is not started again."""
_HEALTHY_S = 60.0
"""After a worker has lived this long, its deaths are counted from zero."""

_log = logging.getLogger(__name__)


class Worker:
    """A child process. If it dies, it is started again with the sources that are not finished.

    Args:
        sources: the sources that it reads.
        job: what to do with them.
        connect: makes its detector.
        max_in_flight: most requests of the process in flight.
        cells: the cells of the tiled picture.
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
        """Take one message of the process, or note that it has ended."""
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
        """Ask it to end after the frames in flight."""
        self._stopping = True
        with contextlib.suppress(OSError):
            self.connection.send(None)

    @property
    def connection(self) -> Connection:
        """The pipe on which its messages arrive."""
        return self._process.connection

    def close(self) -> None:
        """Close it; kill the process if it has not finished."""
        self._process.close(kill=not self.is_done)

    def _start(self) -> None:
        cells = self._cells.connect(self._sources)
        self._process = ChildProcess(
            work, self._sources, self._job, self._connect, self._max_in_flight, cells
        )
        self._started = time.monotonic()
        # Only the child may hold these ends, so that they close when it ends.
        for cell in cells.values():
            cell.disconnect()

    def _died(self) -> None:
        lived_s = time.monotonic() - self._started
        self._deaths = 1 if lived_s > _HEALTHY_S else self._deaths + 1
        self._sources = [source for source in self._sources if self._is_unfinished(source)]
        names = ", ".join(source.name for source in self._sources)
        how = f"a worker ended with code {self._process.exit_code}"
        if self._stopping or not self._sources:
            self._give_up(
                WorkerError(f"{how} while it was stopping: the files of {names} may be cut off")
            )
        elif self._deaths < MAX_DEATHS:
            _log.warning("%s and is started again; it reads %s from the start", how, names)
            self.close()
            results = self._job.results
            self._job = replace(self._job, results=replace(results, part=results.part + 1))
            self._start()
        else:
            times = f", {self._deaths} times in a row"
            self._give_up(
                WorkerError(f"{how}{times}; it read {names}: leave out the source that kills it")
            )

    def _is_unfinished(self, source: Source) -> bool:
        return self.statuses[source.name].state not in FINAL

    def _give_up(self, error: YolostreamError) -> None:
        unfinished = [source for source in self._sources if self._is_unfinished(source)]
        for source in unfinished:
            self.statuses[source.name].enter("failed", str(error))
            self.statuses[source.name].errors.append(error)
        self._cells.abandon(source.name for source in unfinished)
        self.is_done = True
