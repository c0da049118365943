"""Programs that are started here, and that end here."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

from yolostream.interruption import defer_signals

_STOP_S = 20.0


@contextlib.contextmanager
def started(command: Sequence[str], stdout: Any, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a program until the block ends, whatever ends it.

    Args:
        command: Its command line.
        stdout: What it says goes there, errors too.
        options: Further ones of `subprocess.Popen`.
    """
    process = None
    try:
        with defer_signals():
            process = subprocess.Popen(
                command,
                stdout=stdout,
                stderr=subprocess.STDOUT,
                text=True,
                # Ctrl-C reaches us alone.
                start_new_session=True,
                **options,
            )
        yield process
    finally:
        if process is not None:
            with process:
                _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    """End a program that has not ended; the workers of a client end with it."""
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
