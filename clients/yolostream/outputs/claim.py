"""A folder that one process alone writes into."""

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
    """Make a folder, and keep others that claim it out until the block ends.

    The claim ends with the process, however that ends. On a disk that knows no locks there is none.

    Raises:
        OutputError: it cannot be made, or somebody else has claimed it.
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
            f"another service writes into {folder}: give each a folder of its own"
        ) from None
    except OSError as error:
        _log.debug("nobody is kept out of %s: %s", folder, error.strerror)
