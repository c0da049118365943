"""Output of the command line: results on stdout, everything else on stderr."""

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
    """A file that discards data that cannot be written."""

    def write(self, data: Any, /) -> int:
        """See `FileIO`."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def make_stderr_lossy() -> None:
    """Ignore errors of stderr, such as a closed pipe or a full disk, so that work continues."""
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(_Lossy(2, "wb", closefd=False)),
        errors="backslashreplace",
        line_buffering=True,
    )


def print_note(message: object) -> None:
    """Print a note about something unexpected that does not end the command."""
    _say(("note:", "bold yellow"), message)


def print_error(message: object) -> None:
    """Print an error."""
    _say(("error:", "bold red"), message)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let stop signals such as Ctrl-C interrupt the block; then print that and end the command."""
    interrupt_on_stop_signals()
    try:
        yield
    except KeyboardInterrupt:
        print_error(INTERRUPTED)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _say(kind: tuple[str, str], message: object) -> None:
    # File names may contain unprintable bytes and look like Rich's markup. A message with a
    # server's log has several lines.
    shown = "\n".join(map(printable, redact(str(message)).split("\n")))
    stderr.print(Text.assemble(kind, f" {shown}"), soft_wrap=True, highlight=False)


class PrintNotes(logging.Handler):
    """Prints each log record of the package as a note.

    A repeated message is printed once a minute; but every change of a source's state is printed.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._printed_at: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record, unless the same message was printed a short time ago."""
        message, now = record.getMessage(), time.monotonic()
        recently = {said: at for said, at in self._printed_at.items() if now - at < _ONCE_IN_S}
        if message in recently and not hasattr(record, "to"):
            return
        self._printed_at = {**recently, message: now}
        print_note(message)
