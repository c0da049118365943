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
def claimed(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Create a folder and hold a lock on it until the block ends.

    The lock also ends with the process. On a file system without locks, nothing is locked.

    Args:
        folder: created if it is missing.
        shared: others that also pass True may hold the lock at the same time.

    Raises:
        OutputError: the folder cannot be created, or another process has locked it.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor, folder, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path, kind: int) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(
            f"another service writes into {folder}: choose a different folder for each service"
        ) from None
    except OSError as error:
        _log.debug("%s cannot be locked: %s", folder, error.strerror)
