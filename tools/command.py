"""Error handling of the tools: known errors are printed as one line, with an exit code."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from yolostream.errors import YolostreamError
from yolostream.interruption import EXIT_INTERRUPTED, interrupt_on_stop_signals


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn a known error, Ctrl-C or SIGTERM into one line on stderr and an exit code.

    Raises:
        SystemExit: with the exit code of the error.
    """
    interrupt_on_stop_signals()
    try:
        yield
    except YolostreamError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        raise SystemExit(EXIT_INTERRUPTED) from None
