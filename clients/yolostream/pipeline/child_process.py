"""A process of our own, and the pipe to it."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

from yolostream.interruption import block_signals_in_children, defer_signals

_END_S = 2.0
"""That a process takes to end once it has said all."""
_spawn = multiprocessing.get_context("spawn")


class ChildProcess:
    """Runs `target` in a new process, which ends with this one.

    Args:
        target: is called with `arguments` and its end of the pipe; all of them can be pickled.
        arguments: see there.
    """

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self.connection: Connection
        """Its end is that of the process."""
        self.connection, theirs = _spawn.Pipe()
        self._process = _spawn.Process(target=target, args=(*arguments, theirs), daemon=True)
        # Nobody may know of a process that was started while a signal tore us away.
        # Started by itself, now: that would unblock the signals.
        resource_tracker.ensure_running()
        with defer_signals(), block_signals_in_children():
            self._process.start()
        # The last copy of this end is its own now.
        theirs.close()

    @property
    def pid(self) -> int | None:
        """The system's number of the process."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """That of a process that has ended, which may take a moment once its pipe has."""
        self._process.join(_END_S)
        return self._process.exitcode

    def kill(self) -> None:
        """End it now, whatever it hangs in; its pipe ends as well."""
        # One that was closed meanwhile has ended.
        with contextlib.suppress(ValueError):
            self._process.kill()

    def close(self, *, kill: bool = False) -> None:
        """Wait until it has ended, and end it if it does not."""
        if kill:
            self._process.kill()
        self._process.join(_END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()
        self.connection.close()
