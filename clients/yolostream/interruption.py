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

    Those that the one who started us wants ignored stay ignored.
    """
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt_once)


@contextlib.contextmanager
def defer_signals() -> Iterator[None]:
    """Let a signal to stop wait for the end of the block, which may be too short to be torn apart.

    A process that is started outside of one may run on with nobody knowing of it. Only the main
    thread is interrupted, and so only there has anything to wait.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: handler
        for number in STOP_SIGNALS
        # None is one of a library in C, which Python could not put back.
        if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }
    came: list[int] = []
    for number in before:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        # Ctrl-C last: it is the one that interrupts by itself, and the others are back by then.
        for number, handler in reversed(before.items()):
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _interrupt_once(number: int, frame: FrameType | None) -> NoReturn:
    """Asked to stop: finish the files, then go. Asking twice would only tear them."""
    for stop in STOP_SIGNALS:
        signal.signal(stop, signal.SIG_IGN)
    raise KeyboardInterrupt
