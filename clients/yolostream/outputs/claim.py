"""Locks an output folder, so that only one process writes into it."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from yolostream.errors import OutputError
from yolostream.outputs.output import writing

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Create a folder and hold a lock on it until the block ends.

    The lock also ends with the process. On a file system without locks, nothing is locked.

    Raises:
        OutputError: the folder cannot be created, or another process has locked it.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(
            f"another service writes into {folder}: choose a different folder for each service"
        ) from None
    except OSError as error:
        _log.debug("%s cannot be locked: %s", folder, error.strerror)
