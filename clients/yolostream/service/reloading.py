"""Reads the configuration again when its file has changed, or somebody asks."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from yolostream.errors import ServiceError
from yolostream.service.control import Control

LOOK_S = 0.5
"""Between two looks at the file. It counts once it was the same twice: an editor may still write.
Looking costs next to nothing, and works where notifications do not: on network drives, for files
that are mounted into a container, and for links that change, as Kubernetes has them."""


class Reloader:
    """Has the file of a configuration read again, in a thread of its own.

    Args:
        control: reads it.
        path: of the file.
        in_force: what was in it when it was read.
    """

    def __init__(self, control: Control, path: Path, in_force: bytes) -> None:
        self._control = control
        self._path = path
        self._in_force: bytes | None = in_force
        self._is_asked = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reloader", daemon=True)
        self._thread.start()

    def ask(self) -> None:
        """Read the file again, whether it has changed or not; also from within a signal."""
        # An event has a lock, which a second signal would wait for in vain.
        self._is_asked = True

    def close(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        before = self._in_force
        while not self._stopping.wait(LOOK_S):
            now = self._contents()
            if self._is_asked or now == before != self._in_force:
                self._is_asked = False
                self._in_force = now
                self._reload()
            before = now

    def _reload(self) -> None:
        # The log has it, and so has `Control.problem`.
        with contextlib.suppress(ServiceError):
            self._control.reload()

    def _contents(self) -> bytes | None:
        """None while it is away, as when an editor puts another one in its place."""
        try:
            return self._path.read_bytes()
        except OSError:
            return None


@contextlib.contextmanager
def reloading(control: Control, path: Path, in_force: bytes) -> Iterator[Reloader]:
    """Look at the file until the block ends; see `Reloader`."""
    reloader = Reloader(control, path, in_force)
    try:
        yield reloader
    finally:
        reloader.close()
