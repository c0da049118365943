"""Keeps CPU cores from sleeping, which shortens the latency of thread switches."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator

_LIBC = ctypes.CDLL(None)


@contextlib.contextmanager
def busy_poll_cores() -> Iterator[None]:
    """Keep all cores that this process may use from sleeping until the block ends.

    A frame passes through a dozen threads of a server, most of them on different cores. Waking a
    sleeping core takes time, and its caches are cold. So one thread spins on each core, at the
    lowest priority (SCHED_IDLE), and every other thread preempts it at once. The cores draw as much
    power as busy ones. In a container with a CPU limit (Docker's `--cpus`), spinning counts towards
    the limit.
    """
    lock = ctypes.byref(ctypes.c_int())
    _LIBC.pthread_spin_init(lock, 0)
    _LIBC.pthread_spin_lock(lock)
    threads = [
        threading.Thread(target=_spin, args=(core, lock), name=f"core {core}", daemon=True)
        for core in os.sched_getaffinity(0)
    ]
    try:
        for thread in threads:
            thread.start()
        yield
    finally:
        # The threads end by themselves once the lock is free.
        _LIBC.pthread_spin_unlock(lock)


def _spin(core: int, lock: object) -> None:
    """Spin on a core until the lock is free. ctypes releases Python's GIL meanwhile."""
    os.sched_setaffinity(0, {core})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    _LIBC.pthread_spin_lock(lock)
    _LIBC.pthread_spin_unlock(lock)
