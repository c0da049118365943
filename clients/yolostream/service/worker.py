"""A process that runs some of the cameras, as the service sees it."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from yolostream.frame_traces import Sampling
from yolostream.redaction import redact
from yolostream.service.lanes import Connect
from yolostream.service.messages import (
    Command,
    Drop,
    Extend,
    FromWorker,
    Run,
    Stopped,
    Transition,
    Watch,
    WorkerDied,
)
from yolostream.service.watched_child import WatchedChild

_WAIT_S = (0.5, 30.0)
"""Shortest and longest wait until a worker that died is started again."""
_HEALTHY_S = 60.0
"""One that lived so long starts to count anew."""

_log = logging.getLogger(__name__)


class Worker:
    """A child process that is started again, with all its cameras, whenever it dies or hangs.

    Args:
        connect: makes its detectors.
        workers: processes that share the server, at most.
        receive: takes what it says, in the thread that calls `take`.
        sampling: which frames are followed; None follows none.
    """

    def __init__(
        self,
        connect: Connect,
        workers: int,
        receive: Callable[[FromWorker], None],
        sampling: Sampling | None = None,
    ) -> None:
        self.cameras: dict[str, Run] = {}
        """What it runs."""
        self.restarts = 0
        self.is_done = False
        self._connect = connect
        self._workers = workers
        self._receive = receive
        self._sampling = sampling
        self._watched: dict[str, Watch] = {}
        self._extended = Extend("", 0.0)
        self._tickets = itertools.count(1)
        self._stopping_cameras: dict[str, int] = {}
        """Tickets of those of which something may still run."""
        self._wait_s = _WAIT_S[0]
        self._start_at = 0.0
        self._stopping = False
        # Commands come from several threads.
        self._lock = threading.RLock()
        self._child: WatchedChild | None = None
        self._start()

    @property
    def connection(self) -> Connection | None:
        """What it says comes here; None while it does not run."""
        return None if self._child is None else self._child.connection

    @property
    def pid(self) -> int | None:
        """The system's number of its process."""
        return None if self._child is None else self._child.pid

    def run(self, command: Run) -> None:
        """Run a camera, in place of what it was told of it before."""
        with self._lock:
            self.cameras[command.task.source.name] = command
            self._stopping_cameras.pop(command.task.source.name, None)
            self._send(command)

    def drop(self, camera: str) -> None:
        """Let go of a camera."""
        with self._lock:
            self.cameras.pop(camera, None)
            self._watched.pop(camera, None)
            if self._child is not None:
                ticket = next(self._tickets)
                self._stopping_cameras[camera] = ticket
                self._child.tell(Drop(camera, ticket))

    def is_stopping(self, camera: str) -> bool:
        """Whether something may still run of a camera that it was to let go of."""
        return camera in self._stopping_cameras

    def extend(self, command: Extend) -> None:
        """Let leases count for longer."""
        with self._lock:
            self._extended = command
            self._send(command)

    def watch(self, command: Watch) -> None:
        """Somebody looks at a camera, or nobody does."""
        with self._lock:
            self._watched[command.camera] = command
            self._send(command)

    def take(self) -> None:
        """Take one message, or its end."""
        assert self._child is not None
        try:
            message = self._child.hear()
        except (EOFError, OSError):
            if (died := self._died()) is not None:
                self._receive(died)
            return
        match message:
            case None:
                self.is_done = self._stopping
            case Stopped():
                self._note_stopped(message)
            case logging.LogRecord():
                logger = logging.getLogger(message.name)
                if logger.isEnabledFor(message.levelno):
                    logger.handle(message)
                if (transition := _transition_in(message)) is not None:
                    self._receive(transition)
            case _:
                self._receive(message)

    def tend(self) -> None:
        """Start it again if it has died, and its time has come."""
        with self._lock:
            if self._child is None and not self.is_done and time.monotonic() >= self._start_at:
                self._start()

    def ask_to_stop(self) -> None:
        """Let it finish what is on its way."""
        with self._lock:
            self._stopping = True
            if self._child is None:
                self.is_done = True
            else:
                self._child.ask_to_stop()

    def close(self) -> None:
        """End it, if it has not ended."""
        if self._child is not None:
            self._child.end(kill=not self.is_done)

    def _note_stopped(self, stopped: Stopped) -> None:
        with self._lock:
            # It may have been told to run, and to stop, again.
            if self._stopping_cameras.get(stopped.camera) == stopped.ticket:
                del self._stopping_cameras[stopped.camera]

    def _start(self) -> None:
        try:
            self._child = WatchedChild(self._connect, self._workers, self._sampling)
        except OSError as error:
            # Too many files are open, or there is too little memory: that may pass.
            _log.error("a worker cannot be started (%s): %s", error.strerror, self._again())
            return
        self._child.tell(self._extended)
        for run in self.cameras.values():
            self._child.tell(run)
        for watch in self._watched.values():
            self._child.tell(watch)

    def _send(self, command: Command) -> None:
        if self._child is not None:
            self._child.tell(command)

    def _died(self) -> WorkerDied | None:
        with self._lock:
            assert self._child is not None
            age_s, code = self._child.age_s, self._child.end()
            self._child = None
            self._stopping_cameras.clear()
            if self._stopping:
                self.is_done = True
                return None
            if age_s > _HEALTHY_S:
                self._wait_s = _WAIT_S[0]
            self.restarts += 1
            died = WorkerDied(tuple(self.cameras), code, self._wait_s)
            _log.warning("a worker ended with code %s: %s", code, self._again())
            return died

    def _again(self) -> str:
        """Have it started again in a while, and say so."""
        wait_s = self._wait_s
        self._start_at = time.monotonic() + wait_s
        self._wait_s = min(2 * wait_s, _WAIT_S[1])
        return f"it is started again in {wait_s:.1f} s; it runs {', '.join(self.cameras)}"


def _transition_in(record: logging.LogRecord) -> Transition | None:
    """The change of a source's state that a record tells; see `Status.enter`."""
    told = vars(record)
    if not {"source", "from", "to", "reason"} <= told.keys():
        return None
    return Transition(told["source"], told["from"], told["to"], redact(told["reason"]))
