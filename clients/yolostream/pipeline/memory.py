"""Limits the memory of long-running processes."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os

# Loaded once: each call of `CDLL` would leave objects in reference cycles.
_C_LIBRARY = ctypes.CDLL(None)
_M_ARENA_MAX = -8
"""Parameter of `mallopt`, from `malloc.h`."""


def limit_memory_growth() -> None:
    """Keep this process's memory from growing over time; call it when all modules are loaded.

    By default, glibc has up to eight arenas per core, and memory that a thread has freed stays in
    its arena. This sets one arena per core. It also excludes existing objects from garbage
    collections, which then take 0.1 ms.
    """
    with contextlib.suppress(AttributeError):
        _C_LIBRARY.mallopt(_M_ARENA_MAX, len(os.sched_getaffinity(0)))
    gc.collect()
    gc.freeze()


def give_back_memory() -> None:
    """Collect reference cycles, and return free memory to the system.

    An error and its traceback refer to each other, and the traceback to video frames. These are few
    but large objects. Python starts a collection by the number of objects, which may take hours.
    glibc keeps freed memory in the arenas of the threads that decode and send.
    """
    gc.collect()
    with contextlib.suppress(AttributeError):
        _C_LIBRARY.malloc_trim(0)
