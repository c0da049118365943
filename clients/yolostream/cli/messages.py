"""What the command line says: results on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Iterator

import typer
from rich.console import Console
from rich.text import Text

from yolostream.interruption import EXIT_INTERRUPTED, INTERRUPTED, interrupt_on_stop_signals
from yolostream.redaction import redact

stdout = Console()
stderr = Console(stderr=True)


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
    # A file's name may be any bytes, and may look like markup.
    printable = redact(str(message)).encode(errors="replace").decode()
    stderr.print(Text.assemble(kind, f" {printable}"), soft_wrap=True, highlight=False)


class PrintNotes(logging.Handler):
    """Prints what the package logs: one line each.

    The same one once, but for changes of a source's state, which may come again.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._printed: deque[str] = deque(maxlen=100)

    def emit(self, record: logging.LogRecord) -> None:
        """Print it, if nobody has said it yet."""
        message = record.getMessage()
        if message in self._printed and not hasattr(record, "to"):
            return
        self._printed.append(message)
        print_note(message)
