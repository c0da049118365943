"""A child process, and the pipe to it."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

from yolostream.interruption import block_signals_in_children, defer_signals

_END_S = 2.0
"""Seconds that a process may take to end after its last message."""
_spawn = multiprocessing.get_context("spawn")


class ChildProcess:
    """Runs `target` in a new process, which ends when this process ends.

    Args:
        target: called with `arguments` and the child's end of the pipe. It must be picklable.
        arguments: arguments of `target`, which must be picklable.
    """

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self.connection: Connection
        """This process's end of the pipe. It is closed when the child ends."""
        self.connection, theirs = _spawn.Pipe()
        self._process = _spawn.Process(target=target, args=(*arguments, theirs), daemon=True)
        # The tracker is started first, because its start would unblock the signals. They are
        # deferred so that an interrupt cannot lose a process that was just started.
        resource_tracker.ensure_running()
        with defer_signals(), block_signals_in_children():
            self._process.start()
        # Only the child may hold this end, so that the pipe closes when the child ends.
        theirs.close()

    @property
    def pid(self) -> int | None:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code. Waits up to 2 s, because a process ends a little after its pipe."""
        self._process.join(_END_S)
        return self._process.exitcode

    def kill(self) -> None:
        """Kill the process, which also closes its pipe."""
        # `ValueError` if `close` was called meanwhile: the process has ended.
        with contextlib.suppress(ValueError):
            self._process.kill()

    def close(self, *, kill: bool = False) -> None:
        """Wait for the process to end; kill it after 2 s, or at once if `kill` is set."""
        if kill:
            self._process.kill()
        self._process.join(_END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()
        self.connection.close()
