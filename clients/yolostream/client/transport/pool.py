"""Room for the frames of all threads on their way at once."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Iterable

from yolostream.client.transport.buffers import Slot

# Filling a place with a frame takes much less.
_GRACE_S = 0.5


class SlotPool:
    """A slot for each frame on its way.

    Args:
        slots: One a place.
    """

    def __init__(self, slots: Iterable[Slot]) -> None:
        self.slots = list(slots)
        self.free: queue.LifoQueue[Slot] = queue.LifoQueue()  # The last one is still in the cache.
        for slot in self.slots:
            self.free.put(slot)
        self._read: set[Slot] = set()  # By the server, from the request to the answer.

    def is_read(self, slot: Slot) -> None:
        """The server may read it from now on, until it is released."""
        self._read.add(slot)

    def release(self, taken: list[Slot]) -> None:
        """Give the place back, once: an interrupted `submit` may meet its own answer here.

        Args:
            taken: The slot; empty afterwards, and where it was given back already.
        """
        with contextlib.suppress(IndexError):
            slot = taken.pop()
            self._read.discard(slot)
            self.free.put(slot)

    def close(self, *, timeout_s: float) -> None:
        """Wait for the frames on their way, then give all memory back that nobody reads."""
        deadline = time.monotonic() + timeout_s
        for _ in self.slots:
            if not self._wait_for_one(deadline):
                break
        for slot in self.slots:
            # What is still being read belongs to the server.
            if slot not in self._read:
                slot.close()

    def _wait_for_one(self, deadline: float) -> bool:
        while time.monotonic() < deadline:
            try:
                self.free.get(timeout=_GRACE_S)
            except queue.Empty:
                # An interrupt may have lost it on the way out or in, but never what was sent.
                if not self._read:
                    return False
            else:
                return True
        return False
