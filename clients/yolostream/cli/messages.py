"""What the command line says: results on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from yolostream.interruption import EXIT_INTERRUPTED, INTERRUPTED, interrupt_on_stop_signals
from yolostream.printable import printable
from yolostream.redaction import redact

stdout = Console()
stderr = Console(stderr=True)

_ONCE_IN_S = 60.0


class _Lossy(io.FileIO):
    """A file in which is lost what cannot be written."""

    def write(self, data: Any, /) -> int:
        """See `FileIO`."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def make_stderr_lossy() -> None:
    """Let the work go on where nobody reads stderr any more, or its disk is full."""
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(_Lossy(2, "wb", closefd=False)),
        errors="backslashreplace",
        line_buffering=True,
    )


def print_note(message: object) -> None:
    """Say what is not as one might expect, and goes on."""
    _say(("note:", "bold yellow"), message)


def print_error(message: object) -> None:
    """Say what went wrong."""
    _say(("error:", "bold red"), message)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C and the like interrupt the block, which then ends the command, and say so."""
    interrupt_on_stop_signals()
    try:
        yield
    except KeyboardInterrupt:
        print_error(INTERRUPTED)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _say(kind: tuple[str, str], message: object) -> None:
    # A file's name may be any bytes, and may look like markup. A server's log has lines.
    shown = "\n".join(map(printable, redact(str(message)).split("\n")))
    stderr.print(Text.assemble(kind, f" {shown}"), soft_wrap=True, highlight=False)


class PrintNotes(logging.Handler):
    """Prints what the package logs: one line each.

    The same one once a minute, but for changes of a source's state: each of these counts.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._printed_at: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Print it, if that was not said just now."""
        message, now = record.getMessage(), time.monotonic()
        recently = {said: at for said, at in self._printed_at.items() if now - at < _ONCE_IN_S}
        if message in recently and not hasattr(record, "to"):
            return
        self._printed_at = {**recently, message: now}
        print_note(message)
