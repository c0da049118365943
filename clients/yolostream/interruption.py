"""How a command is asked to stop, and the exit code that says so."""

from __future__ import annotations

import signal
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


def _interrupt_once(number: int, frame: FrameType | None) -> NoReturn:
    """Asked to stop: finish the files, then go. Asking twice would only tear them."""
    for stop in STOP_SIGNALS:
        signal.signal(stop, signal.SIG_IGN)
    raise KeyboardInterrupt
