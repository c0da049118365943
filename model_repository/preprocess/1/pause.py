"""Ends a step that was paused, before its answer leaves. Every Python step has an equal copy.

Triton waits for the answer of a step's process for a second. Then it gives the request up, unless
a thread of the process, which Triton wakes every 300 ms, has given a sign of life. An answer that
comes later stays in the queue, and Triton takes it for that of the next request: from then on each
caller gets the boxes of the frame before. A process that is gone is started again; a wrong answer
cannot be taken back. So a process that may have been given up ends itself.
"""

from __future__ import annotations

import os
import threading
import time

LIMIT_S = 0.6
"""A pause of 0.7 s can be enough for Triton to give a request up: its second, less those 300 ms."""
TICK_S = 0.1
EXIT_CODE = 75
"""EX_TEMPFAIL: it may be tried again."""

_CLOCKS = (
    # Goes on while a process is stopped, and while the whole machine is suspended.
    time.CLOCK_BOOTTIME,
    # Triton waits by it: if it is set forward, as after a virtual machine was moved, Triton's
    # second is over early.
    time.CLOCK_REALTIME,
)


class PauseWatch:
    """Looks at the clocks again and again, from a thread of its own and before each answer.

    A pause is time that passed between two looks, but for what the thread that computes has used
    of the processor: it may have kept Python's lock that long, which Triton's own thread does not
    need. So long computations, the compilation of a kernel and the garbage collector are no
    pauses. Whatever else keeps both threads from running is one, a machine without time for this
    process as well: Triton's thread may have been kept too.

    To be made by the thread that computes.

    Args:
        step: Name of the step, for the log.
    """

    def __init__(self, step: str) -> None:
        self._step = step
        self._computing = time.pthread_getcpuclockid(threading.get_ident())
        self._lock = threading.Lock()
        self._last = self._look()
        threading.Thread(target=self._tick, name="pause watch", daemon=True).start()

    def check(self) -> None:
        """End this process if it was paused since the last look; to be called before an answer."""
        with self._lock:
            last, self._last = self._last, self._look()
            paused_s = pause_between(last, self._last)
        if paused_s >= LIMIT_S:
            message = (
                f"{self._step} was paused for {paused_s:.1f} s, and ends: Triton may have given up "
                "its request, and would take its answer for that of another\n"
            )
            os.write(2, message.encode())
            # Not an exception: Triton would send an answer.
            os._exit(EXIT_CODE)

    def _tick(self) -> None:
        while True:
            time.sleep(TICK_S)
            self.check()

    def _look(self) -> tuple[float, ...]:
        """Seconds: those that the computing thread has computed, then those of the clocks."""
        return tuple(map(time.clock_gettime, (self._computing, *_CLOCKS)))


def pause_between(earlier: tuple[float, ...], later: tuple[float, ...]) -> float:
    """Seconds between two looks that were not spent on computing, by the clock that went most."""
    computed_s, *passed_s = (after - before for before, after in zip(earlier, later, strict=True))
    return max(passed_s) - computed_s
