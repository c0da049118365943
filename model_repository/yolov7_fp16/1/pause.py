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

    A pause is time that passed between two looks, less what the computing thread computed and
    waited for a core: it may have kept Python's lock that long, which Triton's own thread does not
    need. So a long computation, the compilation of a kernel and the garbage collector are no
    pauses, on an overloaded machine neither. A process that is stopped, or asleep with its machine,
    waits for no core. Whatever else keeps both threads from running is a pause: that of a process
    whose memory is being swapped, or that gets no core for its idle threads.

    It cannot tell a virtual machine that stood still during a computation from a computer that
    computed, where the machine's clock counts on meanwhile. Then the digest of the frame tells.

    To be made by the thread that computes.

    Args:
        step: Name of the step, for the log.
    """

    def __init__(self, step: str) -> None:
        self._step = step
        self._computing = time.pthread_getcpuclockid(threading.get_ident())
        self._scheduled = _open(f"/proc/self/task/{threading.get_native_id()}/schedstat")
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
        """Seconds that the computing thread has been busy, then those of the clocks."""
        return self._busy_s(), *map(time.clock_gettime, _CLOCKS)

    def _busy_s(self) -> float:
        if self._scheduled is None:
            return time.clock_gettime(self._computing)
        # Nanoseconds on a core, and of waiting for one.
        computed, waited, _ = os.pread(self._scheduled, 100, 0).split()
        return (int(computed) + int(waited)) / 1e9


def pause_between(earlier: tuple[float, ...], later: tuple[float, ...]) -> float:
    """Seconds between two looks in which there was nothing to do, by the clock that went most."""
    busy_s, *passed_s = (after - before for before, after in zip(earlier, later, strict=True))
    return max(passed_s) - busy_s


def _open(path: str) -> int | None:
    """A file descriptor; None on a kernel that does not count how long threads wait."""
    try:
        return os.open(path, os.O_RDONLY)
    except OSError:
        return None
