"""Memory of processes that live for long."""

from __future__ import annotations

import contextlib
import ctypes
import gc

# Each call would leave a few objects that refer to themselves.
_C_LIBRARY = ctypes.CDLL(None)


def keep_for_good() -> None:
    """Look no more at what is there now, modules mostly: the next looks take less than 1 ms."""
    gc.collect()
    gc.freeze()


def give_back_memory() -> None:
    """Free what only refers to itself, and give what is free back to the system.

    An error refers to the calls that it passed, and they to the error; frames that a server lost
    are among that. They are few objects, and large: Python would look for them after hours.

    The C library (glibc) keeps the pictures of before, piece by piece, for each of the many threads
    that decode and send. Elsewhere that is left out.
    """
    gc.collect()
    with contextlib.suppress(AttributeError):
        _C_LIBRARY.malloc_trim(0)
