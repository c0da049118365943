"""The log of a server, shown while it is written."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

_LOOK_S = 0.5


@contextlib.contextmanager
def shown(path: Path) -> Iterator[None]:
    """Copy a log to stderr, from its start, until the block ends."""
    ended = threading.Event()

    def copy() -> None:
        with path.open("rb") as log:
            is_last = False
            while not is_last:
                is_last = ended.wait(_LOOK_S)
                shutil.copyfileobj(log, sys.stderr.buffer)
                sys.stderr.buffer.flush()

    thread = threading.Thread(target=copy, name="yolostream-log", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
