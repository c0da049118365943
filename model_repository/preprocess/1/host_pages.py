"""Host memory of incoming frames: faster to fill, and faster to copy to a GPU."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path

_MAPS = Path("/proc/self/maps")
# Of mallopt(3), by the numbers in malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_MOST_KEPT_BYTES = 512 << 20


def keep_freed_memory() -> None:
    """Let the C library keep up to 512 MiB of freed memory for reuse.

    The Python backend copies each request in host memory before it hands it over. Fresh pages from
    the kernel would cost several times as much as the copy.
    """
    with contextlib.suppress(AttributeError):  # another C library than GNU's
        library = ctypes.CDLL(None)
        # No allocation gets its own mapping, which would be unmapped when it is freed.
        library.mallopt(_MMAP_MAX, 0)
        library.mallopt(_TRIM_THRESHOLD, _MOST_KEPT_BYTES)


class HostPages:
    """Page-locks the shared-memory region in which Triton hands over frames, once per region.

    CUDA copies pageable memory through a buffer of its own, at a fraction of the speed.
    """

    def __init__(self) -> None:
        self._seen = range(0)

    def lock(self, address: int) -> None:
        """Lock the mapping around `address`, if it is shared memory and was not seen before."""
        if address in self._seen:
            return
        self._seen = mapping_around(address, _MAPS.read_text())
        if not self._seen:
            return
        import cupy as cp

        # Locked already, or more than the machine allows: copies work, only slower.
        with contextlib.suppress(cp.cuda.runtime.CUDARuntimeError):
            cp.cuda.runtime.hostRegister(self._seen.start, len(self._seen), 0)


def mapping_around(address: int, maps: str) -> range:
    """Addresses of the shared-memory mapping around one.

    Args:
        address: In this process.
        maps: Content of `/proc/self/maps`, see proc(5).

    Returns:
        The whole mapping; empty where the address is in memory of another kind.
    """
    for line in maps.splitlines():
        bounds, *_, path = line.split(maxsplit=5)
        start, end = (int(bound, 16) for bound in bounds.split("-"))
        if start <= address < end:
            return range(start, end) if path.startswith("/dev/shm/") else range(0)
    return range(0)
