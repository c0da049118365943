"""Handles the signals that stop a command.

It imports only the standard library, because a signal may arrive before the other imports.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

EXIT_INTERRUPTED = 130
INTERRUPTED = "interrupted"
_LOOK_S = 0.5
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def exit_on_stop_signals() -> None:
    """Make the first stop signal end the process at once, with one line and `EXIT_INTERRUPTED`.

    This is for the time in which modules are imported. There is no work to finish yet, and an
    exception inside an import may be turned into another exception.
    """
    _handle_stop_signals(_exit)


def ignore_stop_signals() -> None:
    """Ignore stop signals, because the command is finished and its exit code is known."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def interrupt_on_stop_signals() -> None:
    """Turn the first of SIGINT (Ctrl-C), SIGTERM and SIGHUP into `KeyboardInterrupt`.

    A signal that is ignored already, as under `nohup`, stays ignored.
    """
    _handle_stop_signals(_interrupt_once)


@contextlib.contextmanager
def defer_signals() -> Iterator[None]:
    """Defer stop signals until the block has ended.

    The block is a short step that must not be interrupted halfway. For example, if a signal came
    right after a process was started, its id would be lost, and it would run on. Python interrupts
    only the main thread, so in other threads this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: handler
        for number in STOP_SIGNALS
        # None stands for a handler that a C library installed; Python cannot restore it.
        if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }
    came: list[int] = []
    for number in before:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        # SIGINT is restored last: Ctrl-C may then raise here, when the other handlers are back.
        for number, handler in reversed(before.items()):
            signal.signal(number, handler)
        if came:
            for one in dict.fromkeys(came):
                signal.raise_signal(one)


def wait_for(event: threading.Event) -> None:
    """Wait for an event; a signal can interrupt the wait.

    The system may deliver a signal to any thread, but Python runs the handler in the main thread.
    So the main thread wakes up regularly.
    """
    while not event.wait(_LOOK_S):
        pass


@contextlib.contextmanager
def block_signals_in_children() -> Iterator[None]:
    """Block stop signals in processes that are started in the block, until `unblock_signals`.

    Ctrl-C reaches all processes of a terminal, including those that still import their modules.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock_signals() -> None:
    """Receive the stop signals that were blocked since the process was started, and later ones."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def _interrupt_once(number: int, frame: FrameType | None) -> NoReturn:
    """Raise `KeyboardInterrupt`, and ignore all further stop signals.

    The program still has to finish its files, and a second signal would leave them incomplete.
    """
    ignore_stop_signals()
    raise KeyboardInterrupt


def _exit(number: int, frame: FrameType | None) -> NoReturn:
    os.write(2, f"error: {INTERRUPTED}\n".encode())
    os._exit(EXIT_INTERRUPTED)


def _handle_stop_signals(handler: Callable[[int, FrameType | None], NoReturn]) -> None:
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)
