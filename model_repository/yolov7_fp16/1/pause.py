"""Ends a step that was paused, before its answer leaves. Every Python step has an equal copy.

Triton waits a second for the answer of a step's process. Then it gives the request up, unless a
thread of that process has given a sign of life, as it does every 300 ms. An answer that comes later
stays in the queue, and Triton takes it for that of the next request: from then on every caller gets
the boxes of the frame before. A process that is gone can be started again; a wrong answer cannot be
taken back. So a process that may have been given up ends itself.

Two watching threads do as Triton's does: they sleep in the kernel, where they do not need Python's
lock. A pause is when one was not woken for `LIMIT_S`: the process was stopped, the machine was
suspended, or there was no core for the thread. A long computation is no pause, whoever keeps
Python's lock meanwhile; and neither is waiting for a Triton that is paused itself.

What it cannot see: a pause that begins in the milliseconds in which both threads wait for
Python's lock, or after an answer has left and before Triton has it; and a wall clock that is set
forward, by which Triton measures its second. Then the digest of the frame tells (digest.py).
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time

LIMIT_S = 0.6
"""A pause of 0.7 s can be enough for Triton to give a request up: its second, less those 300 ms."""
TICK_S = 0.05
EXIT_CODE = 75
"""EX_TEMPFAIL: it may be tried again."""

_LIBC = ctypes.CDLL(None, use_errno=True)


class PauseWatch:
    """Watches the process from now on.

    Args:
        step: Name of the step, for the log.
    """

    def __init__(self, step: str) -> None:
        # Two, half a tick apart: one sleeps when the other waits for Python's lock.
        self._sleepers = [_Sleeper(step, first_tick_s=share * TICK_S) for share in (0.5, 1.0)]

    def check(self) -> None:
        """Return only if there was no pause; to be called when an answer is ready to leave."""
        # After a pause this thread may be first. Then it waits until the others have looked.
        while _clock_s() - min(sleeper.looked_s for sleeper in self._sleepers) >= LIMIT_S:
            time.sleep(TICK_S / 10)


class _Sleeper:
    """A thread that ends the process when it was not woken in time.

    Args:
        step: As `PauseWatch`.
        first_tick_s: Seconds until it is woken for the first time.

    Attributes:
        looked_s: When it was last woken in time.
    """

    def __init__(self, step: str, *, first_tick_s: float) -> None:
        self._step = step
        self._timer = _ticking_timer(first_tick_s)
        self.looked_s = _clock_s()
        # Before the first tick by one.
        self._started_s = self.looked_s + first_tick_s - TICK_S
        threading.Thread(target=self._run, name="pause watch", daemon=True).start()

    def _run(self) -> None:
        seen = 0
        while True:
            # Ticks from before this thread sleeps: it has waited for Python's lock.
            missed = int((_clock_s() - self._started_s) / TICK_S) - seen
            ticks = _wait_for_ticks(self._timer)
            seen += ticks
            paused_s = (ticks - max(missed, 1)) * TICK_S
            if paused_s >= LIMIT_S:
                self._end(paused_s)
            self.looked_s = _clock_s()

    def _end(self, paused_s: float) -> None:
        message = (
            f"{self._step} was paused for {paused_s:.1f} s, and ends: Triton may have given up "
            "its request, and would take its answer for that of another\n"
        )
        os.write(2, message.encode())
        # Not an exception, which Triton would answer with.
        os._exit(EXIT_CODE)


def _clock_s() -> float:
    """Goes on while the process is stopped, and while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _ticking_timer(first_tick_s: float) -> int:
    """A timerfd; Python has them from 3.13 on."""
    timer = int(_LIBC.timerfd_create(time.CLOCK_BOOTTIME, os.O_CLOEXEC))
    # struct itimerspec: interval and first tick, seconds and nanoseconds each.
    times = (ctypes.c_long * 4)(0, round(TICK_S * 1e9), 0, round(first_tick_s * 1e9))
    if timer < 0 or _LIBC.timerfd_settime(timer, 0, times, None):
        raise OSError(ctypes.get_errno(), "the kernel has no timer for the step")
    return timer


def _wait_for_ticks(timer: int) -> int:
    """Sleep until there was at least one since the last time; the kernel counts them."""
    return int.from_bytes(os.read(timer, 8), sys.byteorder)
