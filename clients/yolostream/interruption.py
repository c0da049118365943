"""How a command is asked to stop, and the exit code that says so."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

EXIT_INTERRUPTED = 130
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt_on_stop_signals() -> None:
    """Turn the first of Ctrl-C, SIGTERM and SIGHUP into `KeyboardInterrupt`.

    A signal that is ignored already, as under `nohup`, stays ignored.
    """
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt_once)


@contextlib.contextmanager
def defer_signals() -> Iterator[None]:
    """Hold back stop signals until the block has ended; then the first of them takes effect.

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
            signal.raise_signal(came[0])


def _interrupt_once(number: int, frame: FrameType | None) -> NoReturn:
    """Raise `KeyboardInterrupt`, and ignore stop signals from now on.

    The program still has to finish its files, and a second signal would leave them incomplete.
    """
    for stop in STOP_SIGNALS:
        signal.signal(stop, signal.SIG_IGN)
    raise KeyboardInterrupt
