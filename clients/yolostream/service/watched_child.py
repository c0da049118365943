"""The process of a worker, from its start to its end."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from yolostream.pipeline.child_process import ChildProcess
from yolostream.service.messages import Command, FromWorker, Stopped
from yolostream.service.worker_process import work

_CHECK_S = 1.0
"""Interval between two checks whether the process hangs."""
SILENCE_S = 15.0
"""Seconds without a message after which the process counts as hung. It normally sends two messages
a second."""
START_S = 120.0
"""The same limit for the first message, before which the process imports many modules."""
_END_S = 2.0
"""Seconds that the sending thread may take to notice the end of the process."""

_log = logging.getLogger(__name__)


class WatchedChild:
    """A child process that never blocks its parent.

    Commands are queued until the process reads them. If it hangs, it is killed.

    Args:
        arguments: arguments of `worker_process.work`, except for the pipe.

    Raises:
        OSError: the process cannot be started.
    """

    def __init__(self, *arguments: Any) -> None:
        self._process = ChildProcess(work, *arguments)
        self._started_at = time.monotonic()
        self._heard_at: float | None = None
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._may_be_silent = threading.Event()
        self._sender = threading.Thread(target=self._send_commands, daemon=True)
        self._sender.start()
        # A thread of its own, because a message that the process has half written blocks `receive`.
        threading.Thread(target=self._kill_if_hung, daemon=True).start()

    @property
    def connection(self) -> Connection:
        """The pipe that messages of the process arrive on."""
        return self._process.connection

    @property
    def pid(self) -> int | None:
        """The process id."""
        return self._process.pid

    @property
    def age_s(self) -> float:
        """Seconds since the process was started."""
        return time.monotonic() - self._started_at

    def send(self, command: Command) -> None:
        """Queue a command for the process."""
        self._commands.put(command)

    def receive(self) -> FromWorker | Stopped | logging.LogRecord | None:
        """Wait for the next message; None is the last message of a process that ends.

        Raises:
            EOFError: the process has ended.
            OSError: the same.
        """
        message: FromWorker | Stopped | logging.LogRecord | None = self.connection.recv()
        self._heard_at = time.monotonic()
        return message

    def ask_to_stop(self) -> None:
        """Let the process finish the frames in flight. It may be silent from now on."""
        self._may_be_silent.set()
        self._commands.put(None)

    def end(self, *, kill: bool = False) -> int | None:
        """End the process and return its exit code.

        Args:
            kill: kill the process at once. Otherwise it is killed if it does not end by itself.
        """
        self.ask_to_stop()
        if kill:
            self._process.kill()
        code = self._process.exit_code
        self._sender.join(_END_S)
        self._process.close()
        return code

    def _send_commands(self) -> None:
        # `OSError` means that the process has died, which `receive` reports.
        with contextlib.suppress(OSError):
            command: Command | None
            while (command := self._commands.get()) is not None:
                self.connection.send(command)
            self.connection.send(None)

    def _kill_if_hung(self) -> None:
        while not self._may_be_silent.wait(_CHECK_S):
            heard_at = self._heard_at
            since, limit_s = (
                (self._started_at, START_S) if heard_at is None else (heard_at, SILENCE_S)
            )
            if time.monotonic() - since > limit_s and not self._has_message():
                _log.error("a worker has sent nothing for %g s and is killed", limit_s)
                self._process.kill()
                return

    def _has_message(self) -> bool:
        """Whether a message has arrived that the service had no time to receive."""
        try:
            return self.connection.poll()
        except OSError:
            # The process has ended, and its pipe is closed.
            return True
