"""One process that runs some of the cameras, from its start to its end."""

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

_LOOK_S = 1.0
"""Between two looks whether it hangs."""
SILENCE_S = 15.0
"""It tells its figures twice a second: one that says nothing for so long hangs, and is killed."""
START_S = 120.0
"""The same for its first word, before which it imports a lot."""
_END_S = 2.0
"""That the thread which tells it something takes to see that it has ended."""

_log = logging.getLogger(__name__)


class WatchedChild:
    """Nobody waits for it: commands wait until it listens, and it is killed where it hangs.

    Args:
        arguments: of `worker_process.work`, but for the pipe.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, *arguments: Any) -> None:
        self._process = ChildProcess(work, *arguments)
        self._started_at = time.monotonic()
        self._heard_at: float | None = None
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._may_be_silent = threading.Event()
        self._teller = threading.Thread(target=self._tell, daemon=True)
        self._teller.start()
        # Whoever listens to it may hang with it.
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def connection(self) -> Connection:
        """What it says comes here."""
        return self._process.connection

    @property
    def pid(self) -> int | None:
        """The system's number of the process."""
        return self._process.pid

    @property
    def age_s(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._started_at

    def tell(self, command: Command) -> None:
        """Have it do something."""
        self._commands.put(command)

    def hear(self) -> FromWorker | Stopped | logging.LogRecord | None:
        """The next thing that it says; None where it has said all.

        Raises:
            EOFError: it has ended.
            OSError: the same.
        """
        message: FromWorker | Stopped | logging.LogRecord | None = self.connection.recv()
        self._heard_at = time.monotonic()
        return message

    def ask_to_stop(self) -> None:
        """Let it finish what is on its way, which it may do in silence."""
        self._may_be_silent.set()
        self._commands.put(None)

    def end(self, *, kill: bool = False) -> int | None:
        """Wait until it has ended, and end it if it does not; its exit code."""
        self.ask_to_stop()
        if kill:
            self._process.kill()
        code = self._process.exit_code
        self._teller.join(_END_S)
        self._process.close()
        return code

    def _tell(self) -> None:
        # Of one that died, its end tells.
        with contextlib.suppress(OSError):
            command: Command | None
            while (command := self._commands.get()) is not None:
                self.connection.send(command)
            self.connection.send(None)

    def _watch(self) -> None:
        while not self._may_be_silent.wait(_LOOK_S):
            heard_at = self._heard_at
            since, most_s = (
                (self._started_at, START_S) if heard_at is None else (heard_at, SILENCE_S)
            )
            if time.monotonic() - since > most_s and not self._has_spoken():
                _log.error("a worker has said nothing for %g s, and is ended", most_s)
                self._process.kill()
                return

    def _has_spoken(self) -> bool:
        """Whether a word of it waits for whoever listens, who may be busy."""
        try:
            return self.connection.poll()
        except OSError:
            return True
