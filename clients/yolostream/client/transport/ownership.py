"""Who owns the memory that servers read, and what is left of owners that were killed."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from uuid import uuid4

from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

SHARED_MEMORY = Path("/dev/shm")
_PREFIX = "yolostream-frames-"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class OwnedFile:
    """A file in /dev/shm that is locked for as long as its owner lives; it names a region.

    Raises:
        OSError: there can be no file in /dev/shm.
    """

    def __init__(self) -> None:
        name = f"{_prefix_here()}{uuid4().hex}"
        # It gets its name once it is locked: others remove files of that name without a lock.
        self.path = SHARED_MEMORY / f".{name}"
        self.file = self.path.open("xb+")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX)
            self.path = self.path.rename(SHARED_MEMORY / name)
        except OSError:
            self.close()
            raise

    @property
    def name(self) -> str:
        """Of the file, and of the region at the server."""
        return self.path.name

    def close(self) -> None:
        """Remove it."""
        self.path.unlink(missing_ok=True)
        self.file.close()


def remove_leftovers(client: InferenceServerClient, *, timeout_s: float) -> None:
    """Remove the regions of clients that were killed before they could, here and at the server.

    Args:
        client: Of the server.
        timeout_s: Seconds for each question to it.
    """
    for path in SHARED_MEMORY.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    # Another client may be quicker, or the server may not tell.
    with contextlib.suppress(InferenceServerException):
        status = client.get_system_shared_memory_status(client_timeout=timeout_s)
        _unregister(status.regions, client.unregister_system_shared_memory, timeout_s)
    with contextlib.suppress(InferenceServerException):
        status = client.get_cuda_shared_memory_status(client_timeout=timeout_s)
        _unregister(status.regions, client.unregister_cuda_shared_memory, timeout_s)


def _unregister(
    registered: Iterable[str], unregister: Callable[..., None], timeout_s: float
) -> None:
    """Unregister regions whose owner had its file in this /dev/shm, where there is none any more.

    A region is registered after its file was made, and its file is removed after that. Those of
    other machines and containers have other prefixes: whether they live cannot be seen from here.
    """
    for name in registered:
        if name.startswith(_prefix_here()) and not (SHARED_MEMORY / name).exists():
            unregister(name, client_timeout=timeout_s)


@functools.cache
def _prefix_here() -> str:
    """What the names of all regions start with whose files lie in this very /dev/shm.

    It tells apart machines by their boot, and containers by the file system that is mounted there.
    """
    try:
        here = f"{_BOOT_ID.read_text().strip()} {SHARED_MEMORY.stat().st_dev}"
    except OSError:
        # Who cannot tell takes nobody's.
        here = uuid4().hex
    return f"{_PREFIX}{hashlib.sha256(here.encode()).hexdigest()[:12]}-"
