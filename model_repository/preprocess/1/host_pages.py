"""Settings of host memory that speed up copies of incoming frames."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path

_MAPS = Path("/proc/self/maps")
# Parameters of mallopt(3), from malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_MOST_KEPT_BYTES = 512 << 20


def keep_freed_memory() -> None:
    """Make glibc keep up to 512 MiB of freed memory for reuse.

    The Python backend copies each request that is in host memory. New pages from the kernel would
    take several times as long as the copy.
    """
    with contextlib.suppress(AttributeError):  # a C library other than glibc
        library = ctypes.CDLL(None)
        # Large allocations would have their own mappings, which are unmapped when they are freed.
        library.mallopt(_MMAP_MAX, 0)
        library.mallopt(_TRIM_THRESHOLD, _MOST_KEPT_BYTES)


class HostPages:
    """Page-locks the shared-memory region in which Triton passes frames, once per region.

    CUDA copies pageable memory through an internal buffer, which is several times slower.
    """

    def __init__(self) -> None:
        self._seen = range(0)

    def lock(self, address: int) -> None:
        """Page-lock the mapping that contains `address`, if it is new and in shared memory."""
        if address in self._seen:
            return
        self._seen = mapping_around(address, _MAPS.read_text())
        if not self._seen:
            return
        import cupy as cp

        # This fails if the region is locked already, or exceeds the machine's limit. Copies then
        # still work, but slower.
        with contextlib.suppress(cp.cuda.runtime.CUDARuntimeError):
            cp.cuda.runtime.hostRegister(self._seen.start, len(self._seen), 0)


def mapping_around(address: int, maps: str) -> range:
    """The addresses of the shared-memory mapping that contains an address.

    Args:
        address: An address in this process.
        maps: Content of `/proc/self/maps`, see proc(5).

    Returns:
        The addresses of the whole mapping; empty if it is not in shared memory.
    """
    for line in maps.splitlines():
        bounds, *_, path = line.split(maxsplit=5)
        start, end = (int(bound, 16) for bound in bounds.split("-"))
        if start <= address < end:
            return range(start, end) if path.startswith("/dev/shm/") else range(0)
    return range(0)
