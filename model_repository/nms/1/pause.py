"""Ends the process of a step that was paused. Each Python step has an equal copy of this file.

Triton waits one second for the response of a step's process. Then it drops the request, unless a
thread of that process has reported that it is alive, which it does every 300 ms. A response that
arrives later stays in the queue, and Triton returns it for the next request. From then on, every
caller gets the boxes of the previous frame. To prevent that, a process whose request may have been
dropped ends itself before it responds. The server's supervisor then restarts the server.

Two threads detect pauses. Both sleep in the kernel, where they need no GIL, like Triton's thread.
There was a pause if a thread was not woken for `LIMIT_S`: the process was stopped, the machine was
suspended, or no core was free. Long computations do not count as pauses, even if they hold the GIL.
Neither does waiting for a Triton that is itself paused.

Some pauses cannot be detected: those that begin in the few milliseconds when both threads wait for
the GIL, and those that begin between sending the response and Triton's receipt. If the wall clock
is set forward, Triton's second also ends early. In these cases the client detects a wrong answer by
the digest of the frame; see digest.py.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time

LIMIT_S = 0.6
"""After a pause of 0.7 s (1 s less 300 ms) Triton may have dropped the request."""
TICK_S = 0.05
EXIT_CODE = 75
"""EX_TEMPFAIL of sysexits.h: a temporary failure."""

_LIBC = ctypes.CDLL(None, use_errno=True)


class PauseWatch:
    """Watches this process for pauses, from its creation on.

    Args:
        step: Name of the step, for the log.
    """

    def __init__(self, step: str) -> None:
        # Two threads, half a tick apart: one sleeps while the other waits for the GIL.
        self._sleepers = [_Sleeper(step, first_tick_s=share * TICK_S) for share in (0.5, 1.0)]

    def check(self) -> None:
        """Return only if there was no pause. Call it before responses are returned to Triton."""
        # After a pause this thread may run first. Then it waits until the watching threads ran.
        while _clock_s() - min(sleeper.looked_s for sleeper in self._sleepers) >= LIMIT_S:
            time.sleep(TICK_S / 10)


class _Sleeper:
    """A thread that ends the process if it was not woken in time.

    Args:
        step: Name of the step, for the log.
        first_tick_s: Seconds until the first tick of its timer.

    Attributes:
        looked_s: Time when it was last woken without a pause.
    """

    def __init__(self, step: str, *, first_tick_s: float) -> None:
        self._step = step
        self._timer = _ticking_timer(first_tick_s)
        self.looked_s = _clock_s()
        # One tick before the first.
        self._started_s = self.looked_s + first_tick_s - TICK_S
        threading.Thread(target=self._run, name="pause watch", daemon=True).start()

    def _run(self) -> None:
        seen = 0
        while True:
            # Ticks that passed while this thread waited for the GIL, before it sleeps again.
            missed = int((_clock_s() - self._started_s) / TICK_S) - seen
            ticks = _wait_for_ticks(self._timer)
            seen += ticks
            paused_s = (ticks - max(missed, 1)) * TICK_S
            if paused_s >= LIMIT_S:
                self._end(paused_s)
            self.looked_s = _clock_s()

    def _end(self, paused_s: float) -> None:
        message = (
            f"{self._step} was paused for {paused_s:.1f} s and ends, because Triton may have "
            "dropped its request and would return its answer for another frame\n"
        )
        os.write(2, message.encode())
        # Not an exception, because Triton would return that as the answer.
        os._exit(EXIT_CODE)


def _clock_s() -> float:
    """Seconds of a clock that also runs while the process is stopped or the machine suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _ticking_timer(first_tick_s: float) -> int:
    """Make a timerfd with ctypes; Python has `os.timerfd_create` only from 3.13 on."""
    timer = int(_LIBC.timerfd_create(time.CLOCK_BOOTTIME, os.O_CLOEXEC))
    # struct itimerspec: interval and first tick, seconds and nanoseconds each.
    times = (ctypes.c_long * 4)(0, round(TICK_S * 1e9), 0, round(first_tick_s * 1e9))
    if timer < 0 or _LIBC.timerfd_settime(timer, 0, times, None):
        raise OSError(ctypes.get_errno(), "the kernel cannot make a timer for the step")
    return timer


def _wait_for_ticks(timer: int) -> int:
    """Sleep until the next tick; return the number of ticks since the last call."""
    return int.from_bytes(os.read(timer, 8), sys.byteorder)
