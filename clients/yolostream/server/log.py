"""The log file of a server: copied to stderr, and limited in size."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

LIMIT_BYTES = 16 << 20

_LOOK_S = 0.5


def rotate(path: Path) -> None:
    """Rotate a log that is larger than `LIMIT_BYTES`: copy it to `rotated_path(path)` and empty it.

    The server goes on writing into the same file, which it has opened for appending.
    """
    # A full disk must not stop the server's supervision, so errors are ignored.
    with contextlib.suppress(OSError):
        if path.stat().st_size > LIMIT_BYTES:
            with contextlib.suppress(OSError):
                shutil.copyfile(path, rotated_path(path))
            os.truncate(path, 0)


def rotated_path(path: Path) -> Path:
    """The path of the rotated part of a log."""
    return path.with_name(f"{path.name}.1")


@contextlib.contextmanager
def copied_to_stderr(path: Path) -> Iterator[None]:
    """Copy a log to stderr, from its start, until the block ends."""
    ended = threading.Event()

    def copy() -> None:
        with path.open("rb") as log:
            is_last = False
            while not is_last:
                is_last = ended.wait(_LOOK_S)
                if path.stat().st_size < log.tell():
                    _copy_rotated_rest(path, log)
                shutil.copyfileobj(log, sys.stderr.buffer)
                sys.stderr.buffer.flush()

    thread = threading.Thread(target=copy, name="yolostream-log", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _copy_rotated_rest(path: Path, log: BinaryIO) -> None:
    """Copy the rest of a log that was rotated meanwhile, then continue at the file's start."""
    with contextlib.suppress(FileNotFoundError), rotated_path(path).open("rb") as before:
        before.seek(log.tell())
        shutil.copyfileobj(before, sys.stderr.buffer)
    log.seek(0)
