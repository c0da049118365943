"""A worker, as the service sees it."""

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

_MIN_WAIT_S, _MAX_WAIT_S = 0.5, 30.0
"""Shortest and longest wait before a worker that died is started again."""
_HEALTHY_S = 60.0
"""Lifetime of a process after which the wait starts with the shortest one again."""

_log = logging.getLogger(__name__)


class Worker:
    """Runs some of the cameras in a child process, which is restarted whenever it dies or hangs.

    Args:
        connect: makes the detectors of the process.
        workers: largest number of processes that share the server.
        handle: called with each message of the process, in the thread that calls `receive`.
        sampling: which frames are traced; None traces none.
    """

    def __init__(
        self,
        connect: Connect,
        workers: int,
        handle: Callable[[FromWorker], None],
        sampling: Sampling | None = None,
    ) -> None:
        self.cameras: dict[str, Run] = {}
        """The latest command for each of its cameras."""
        self.restarts = 0
        self.is_done = False
        """Whether it was asked to stop and has ended."""
        self._connect = connect
        self._workers = workers
        self._handle = handle
        self._sampling = sampling
        self._watched: dict[str, Watch] = {}
        self._extended = Extend("", 0.0)
        self._tickets = itertools.count(1)
        self._stopping_cameras: dict[str, int] = {}
        """Tickets of the cameras that were dropped and may not have stopped yet."""
        self._wait_s = _MIN_WAIT_S
        self._start_at = 0.0
        self._stopping = False
        self._lock = threading.RLock()
        self._child: WatchedChild | None = None
        self._start()

    @property
    def connection(self) -> Connection | None:
        """The pipe that messages of the process arrive on; None while there is no process."""
        return None if self._child is None else self._child.connection

    @property
    def pid(self) -> int | None:
        """The process id; None while there is no process."""
        return None if self._child is None else self._child.pid

    def run(self, command: Run) -> None:
        """Run a camera. The command replaces the camera's former one."""
        with self._lock:
            self.cameras[command.task.source.name] = command
            self._stopping_cameras.pop(command.task.source.name, None)
            self._send(command)

    def drop(self, camera: str) -> None:
        """Stop a camera."""
        with self._lock:
            self.cameras.pop(camera, None)
            self._watched.pop(camera, None)
            if self._child is not None:
                ticket = next(self._tickets)
                self._stopping_cameras[camera] = ticket
                self._child.send(Drop(camera, ticket))

    def is_stopping(self, camera: str) -> bool:
        """Whether a camera was dropped and may not have stopped yet."""
        return camera in self._stopping_cameras

    def extend(self, command: Extend) -> None:
        """Extend the leases of the cameras."""
        with self._lock:
            self._extended = command
            self._send(command)

    def watch(self, command: Watch) -> None:
        """Change what is made for the viewers of a camera."""
        with self._lock:
            self._watched[command.camera] = command
            self._send(command)

    def receive(self) -> None:
        """Receive one message, or notice that the process has ended."""
        assert self._child is not None
        try:
            message = self._child.receive()
        except (EOFError, OSError):
            if (died := self._note_end()) is not None:
                self._handle(died)
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
                    self._handle(transition)
            case _:
                self._handle(message)

    def restart_if_due(self) -> None:
        """Start the process again, if it has died and its wait is over."""
        with self._lock:
            if self._child is None and not self.is_done and time.monotonic() >= self._start_at:
                self._start()

    def ask_to_stop(self) -> None:
        """Let the process finish the frames in flight, and end."""
        with self._lock:
            self._stopping = True
            if self._child is None:
                self.is_done = True
            else:
                self._child.ask_to_stop()

    def close(self) -> None:
        """End the process. It is killed if it has not ended since `ask_to_stop`."""
        if self._child is not None:
            self._child.end(kill=not self.is_done)

    def _note_stopped(self, stopped: Stopped) -> None:
        with self._lock:
            # If the tickets differ, the camera was run and dropped again meanwhile.
            if self._stopping_cameras.get(stopped.camera) == stopped.ticket:
                del self._stopping_cameras[stopped.camera]

    def _start(self) -> None:
        try:
            self._child = WatchedChild(self._connect, self._workers, self._sampling)
        except OSError as error:
            # The reason may pass, such as too many open files or too little memory.
            _log.error(
                "a worker cannot be started (%s): %s", error.strerror, self._schedule_restart()
            )
            return
        commands: list[Command] = [*self.cameras.values(), *self._watched.values()]
        for command in (self._extended, *commands):
            self._child.send(command)

    def _send(self, command: Command) -> None:
        if self._child is not None:
            self._child.send(command)

    def _note_end(self) -> WorkerDied | None:
        """Note that the process has ended. Returns None if it was asked to."""
        with self._lock:
            assert self._child is not None
            age_s, code = self._child.age_s, self._child.end()
            self._child = None
            self._stopping_cameras.clear()
            if self._stopping:
                self.is_done = True
                return None
            if age_s > _HEALTHY_S:
                self._wait_s = _MIN_WAIT_S
            self.restarts += 1
            died = WorkerDied(tuple(self.cameras), code, self._wait_s)
            _log.warning("a worker ended with code %s: %s", code, self._schedule_restart())
            return died

    def _schedule_restart(self) -> str:
        """Plan the next start of the process, and return text about it for the log."""
        wait_s = self._wait_s
        self._start_at = time.monotonic() + wait_s
        self._wait_s = min(2 * wait_s, _MAX_WAIT_S)
        cameras = ", ".join(self.cameras) or "none"
        return f"it is started again in {wait_s:.1f} s; its cameras: {cameras}"


def _transition_in(record: logging.LogRecord) -> Transition | None:
    """The change of a source's state in a log record of `Status.enter`; None in other records."""
    fields = vars(record)
    if not {"source", "from", "to", "reason"} <= fields.keys():
        return None
    return Transition(fields["source"], fields["from"], fields["to"], redact(fields["reason"]))
