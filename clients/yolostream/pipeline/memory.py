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


def expect_long_life() -> None:
    """Let this process stay small; to be called once, when its modules are there.

    The C library (glibc) keeps memory of its own for eight times as many threads as there are
    cores, and what one has freed no other gets: now for as many as run at once. Python looks no
    more at what is there now when it looks for what refers to itself, which takes 0.1 ms then.
    """
    with contextlib.suppress(AttributeError):
        _C_LIBRARY.mallopt(_M_ARENA_MAX, len(os.sched_getaffinity(0)))
    gc.collect()
    gc.freeze()


def give_back_memory() -> None:
    """Free what only refers to itself, and give what is free back to the system.

    An error refers to the calls that it passed, and they to the error; frames that a server lost
    are among that. They are few objects, and large: Python would look for them after hours.

    The C library keeps the pictures of before, piece by piece, for threads that decode and send.
    """
    gc.collect()
    with contextlib.suppress(AttributeError):
        _C_LIBRARY.malloc_trim(0)
