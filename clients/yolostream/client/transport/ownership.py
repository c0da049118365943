"""Marks shared memory with its owner, and removes the memory of owners that were killed."""

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
    """A file in /dev/shm that is locked while its owner lives. Its name is the region's name.

    Raises:
        OSError: the file cannot be created.
    """

    def __init__(self) -> None:
        name = f"{_prefix_here()}{uuid4().hex}"
        # It is renamed once it is locked, because other clients remove unlocked files with the
        # prefix.
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
        """Name of the file, and of the region at the server."""
        return self.path.name

    def close(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)
        self.file.close()


def remove_leftovers(client: InferenceServerClient, *, timeout_s: float) -> None:
    """Remove the regions of killed clients, on this machine and at the server.

    Args:
        client: the connection to the server.
        timeout_s: timeout in seconds of each call.
    """
    for path in SHARED_MEMORY.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    # Another client may have removed them meanwhile, or the server denies access.
    with contextlib.suppress(InferenceServerException):
        status = client.get_system_shared_memory_status(client_timeout=timeout_s)
        _unregister(status.regions, client.unregister_system_shared_memory, timeout_s)
    with contextlib.suppress(InferenceServerException):
        status = client.get_cuda_shared_memory_status(client_timeout=timeout_s)
        _unregister(status.regions, client.unregister_cuda_shared_memory, timeout_s)


def _unregister(
    registered: Iterable[str], unregister: Callable[..., None], timeout_s: float
) -> None:
    """Unregister the regions of this /dev/shm whose file is gone.

    The file exists before the region is registered, so without a file the owner is gone. Regions
    of other machines and containers have other prefixes, and are left alone.
    """
    for name in registered:
        if name.startswith(_prefix_here()) and not (SHARED_MEMORY / name).exists():
            unregister(name, client_timeout=timeout_s)


@functools.cache
def _prefix_here() -> str:
    """The common prefix of the names of all regions with a file in this /dev/shm.

    It depends on the machine's boot id, and on the file system's device number, which differs
    between containers.
    """
    try:
        here = f"{_BOOT_ID.read_text().strip()} {SHARED_MEMORY.stat().st_dev}"
    except OSError:
        # A random prefix matches no other client's regions, so none of them is removed.
        here = uuid4().hex
    return f"{_PREFIX}{hashlib.sha256(here.encode()).hexdigest()[:12]}-"
