"""How a tool ends: a known error is one line on stderr and an exit code of its own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from yolostream.errors import YolostreamError

EXIT_INTERRUPTED = 130


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn a known error, or Ctrl-C, into a line on stderr and the exit code that tells it apart.

    Raises:
        SystemExit: with the exit code of the error.
    """
    try:
        yield
    except YolostreamError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        print("error: interrupted; nothing was changed", file=sys.stderr)
        raise SystemExit(EXIT_INTERRUPTED) from None
