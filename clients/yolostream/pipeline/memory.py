"""Memory of processes that live for long."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os

# Each call would leave a few objects that refer to themselves.
_C_LIBRARY = ctypes.CDLL(None)
_M_ARENA_MAX = -8
"""In `malloc.h`."""


def stay_small() -> None:
    """Let this process need no more memory as it grows old; call it once all modules are loaded.

    glibc has up to eight arenas a core, and what a thread has freed stays in its arena: here there
    is one a core. Objects that exist already are left out of garbage collections, which take 0.1 ms
    then.
    """
    with contextlib.suppress(AttributeError):
        _C_LIBRARY.mallopt(_M_ARENA_MAX, len(os.sched_getaffinity(0)))
    gc.collect()
    gc.freeze()


def give_back_memory() -> None:
    """Collect reference cycles, and give free memory back to the system.

    An error and its traceback refer to each other, and the traceback to frames of video. Those are
    few objects and large ones, so Python's own collection, which counts objects, comes after hours.
    glibc keeps freed memory in the arenas of the threads that decode and send.
    """
    gc.collect()
    with contextlib.suppress(AttributeError):
        _C_LIBRARY.malloc_trim(0)
