"""Reads the configuration file again when it has changed, or on request."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from yolostream.errors import ServiceError
from yolostream.service.control import Control

POLL_S = 0.5
"""Interval between two reads of the file. New content is applied when two reads in a row return it,
because an editor may still be writing. Polling is cheap and works where notifications do not: on
network drives, for files mounted into a container, and for the links of a Kubernetes ConfigMap."""


class Reloader:
    """Reads a configuration file again when it has changed, in a thread of its own.

    Args:
        control: applies the file.
        path: the file.
        in_force: the content that is applied already.
    """

    def __init__(self, control: Control, path: Path, in_force: bytes) -> None:
        self._control = control
        self._path = path
        self._in_force: bytes | None = in_force
        self._is_requested = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reloader", daemon=True)
        self._thread.start()

    def request(self) -> None:
        """Read the file again even if it has not changed. A signal handler may call this."""
        # No `threading.Event`: a second signal would wait forever for the lock that it has.
        self._is_requested = True

    def close(self) -> None:
        """Stop the thread."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        before = self._in_force
        while not self._stopping.wait(POLL_S):
            now = self._contents()
            if self._is_requested or now == before != self._in_force:
                self._is_requested = False
                self._in_force = now
                self._reload()
            before = now

    def _reload(self) -> None:
        # `Control` logs the error and remembers it in `problem`.
        with contextlib.suppress(ServiceError):
            self._control.reload()

    def _contents(self) -> bytes | None:
        """The content of the file; None while it is missing, such as when an editor replaces it."""
        try:
            return self._path.read_bytes()
        except OSError:
            return None


@contextlib.contextmanager
def reloading(control: Control, path: Path, in_force: bytes) -> Iterator[Reloader]:
    """Run a `Reloader` until the block ends."""
    reloader = Reloader(control, path, in_force)
    try:
        yield reloader
    finally:
        reloader.close()
