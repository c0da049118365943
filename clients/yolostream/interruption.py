"""How a command is asked to stop, and the exit code that says so.

It imports next to nothing: a command may be asked before it has imported the rest.
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
    """Let the first stop signal end the process at once, in one line and with `EXIT_INTERRUPTED`.

    This is for the time in which modules are imported: there is nothing to finish yet, and an
    exception that leaves a half imported module may become any other.
    """
    _handle_stop_signals(_exit)


def ignore_stop_signals() -> None:
    """Let nothing interrupt what is left: the command is done, and its exit code is decided."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def interrupt_on_stop_signals() -> None:
    """Turn the first of Ctrl-C, SIGTERM and SIGHUP into `KeyboardInterrupt`.

    A signal that is ignored already, as under `nohup`, stays ignored.
    """
    _handle_stop_signals(_interrupt_once)


@contextlib.contextmanager
def defer_signals() -> Iterator[None]:
    """Hold back stop signals until the block has ended; then they take effect.

    The block is a short step that must not be interrupted halfway. For example, if a signal came
    right after a process was started, nobody would keep its id, and it would run on. Python
    interrupts only the main thread, so in other threads this does nothing.
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
    """Wait, so that a signal interrupts it.

    The system may give a signal to any thread of the process. Python's handler runs in the main
    thread, which would sleep on if it was another that got it.
    """
    while not event.wait(_LOOK_S):
        pass


@contextlib.contextmanager
def block_signals_in_children() -> Iterator[None]:
    """Let processes that the block starts hold stop signals back until `unblock_signals`.

    Ctrl-C reaches all processes of a terminal, also those that still import their modules.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock_signals() -> None:
    """Take the stop signals that came since the process was started, and those that will come."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def _interrupt_once(number: int, frame: FrameType | None) -> NoReturn:
    """Raise `KeyboardInterrupt`, and ignore stop signals from now on.

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
