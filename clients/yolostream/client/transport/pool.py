"""The places of all requests that are in flight at once."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable

from yolostream.client.ensemble import Ensemble
from yolostream.client.transport.buffers import InputBuffer
from yolostream.errors import DeadlineExceeded, ForkError, ServerUnavailable

_GRACE_S = 0.5
"""Filling a buffer with frames takes much less."""

_LEAST_S = 0.05
"""Shortest time to unregister memory when closing: a healthy server needs less."""


class Slot:
    """Room for one request: a buffer at each server that it has been sent to.

    Args:
        new_buffer: Makes a buffer at a server.
    """

    def __init__(self, new_buffer: Callable[[Ensemble], InputBuffer]) -> None:
        self.ensemble: Ensemble | None = None
        """Where the request goes; None while there is none."""
        self._new_buffer = new_buffer
        self._buffers: dict[Ensemble, InputBuffer] = {}

    def buffer_at(self, ensemble: Ensemble) -> InputBuffer:
        """The buffer that this server reads."""
        buffer = self._buffers.get(ensemble)
        if buffer is None:
            for gone in [one for one in self._buffers if one.is_closed]:
                self._buffers.pop(gone).reset()
            buffer = self._buffers[ensemble] = self._new_buffer(ensemble)
        return buffer

    def close(self, *, timeout_s: float) -> None:
        """Give the memory back; see `InputBuffer.close`."""
        for ensemble, buffer in self._buffers.items():
            if ensemble.is_closed:
                buffer.reset()
            else:
                buffer.close(timeout_s=timeout_s)


class SlotPool:
    """Lends a slot to each request in flight.

    Args:
        size: So many requests may be in flight at once.
        new_buffer: Makes a buffer at a server.
        url: Of the servers.
    """

    def __init__(
        self, size: int, new_buffer: Callable[[Ensemble], InputBuffer], *, url: str
    ) -> None:
        self.slots = [Slot(new_buffer) for _ in range(size)]
        # Last in, first out: the buffer used last is still in the processor's cache.
        self.free: queue.LifoQueue[Slot] = queue.LifoQueue()
        for slot in self.slots:
            self.free.put(slot)
        self._at_server: set[Slot] = set()
        self._url = url
        self._closed = False
        self._process = os.getpid()

    @property
    def is_forked(self) -> bool:
        """Whether this is a copy in another process, which shares the buffers' memory."""
        return os.getpid() != self._process

    def check_process(self) -> None:
        """Raise `ForkError` in a fork of the process that made this."""
        if self.is_forked:
            raise ForkError(
                f"this detector was made in process {self._process}, and process {os.getpid()} is "
                "a fork of that: make a detector after the fork, one in each process"
            )

    def in_flight(self) -> Counter[Ensemble]:
        """Requests that each server has now."""
        return Counter(slot.ensemble for slot in self.slots if slot.ensemble is not None)

    def lend(self, *, timeout_s: float) -> Lease:
        """Wait for a free slot.

        Raises:
            DeadlineExceeded: None became free within `timeout_s`.
            ServerUnavailable: The pool is closed.
            ForkError: The pool is that of the process that this one was forked from.
        """
        self.check_process()
        if self._closed:
            raise ServerUnavailable("this detector is closed: make a new one")
        try:
            return Lease(self, self.free.get(timeout=timeout_s))
        except queue.Empty:
            raise DeadlineExceeded(
                f"no place for a frame within {timeout_s:g} s: {self._url} is too slow"
            ) from None

    def reserve(self, ensemble: Ensemble, frames: int, *, height: int, width: int) -> None:
        """Let each slot take its memory for so many frames; nothing may be on its way yet."""
        self.check_process()
        for slot in self.slots:
            slot.buffer_at(ensemble).reserve(frames, height=height, width=width)

    def close(self, *, timeout_s: float) -> None:
        """Wait for the requests on their way, then free the memory that the server is not reading.

        Args:
            timeout_s: Seconds for all of that. Memory that the server still reads then is kept.
        """
        self._closed = True
        deadline = time.monotonic() + timeout_s
        for _ in self.slots:
            if not self._wait_for_one(deadline):
                break
        for slot in self.slots:
            if slot not in self._at_server:
                slot.close(timeout_s=max(deadline - time.monotonic(), _LEAST_S))

    def mark_sent(self, slot: Slot) -> None:
        """Note that a server may read the buffer until `take_back`; for a lease."""
        self._at_server.add(slot)

    def take_back(self, slot: Slot) -> None:
        """Let others have the slot; for a lease."""
        slot.ensemble = None
        self._at_server.discard(slot)
        self.free.put(slot)

    def _wait_for_one(self, deadline: float) -> bool:
        while time.monotonic() < deadline:
            try:
                self.free.get(timeout=_GRACE_S)
            except queue.Empty:
                # If Ctrl-C came between `free.get` and `release`, a buffer is lost and never
                # comes back. Buffers that the server reads always come back.
                if not self._at_server:
                    return False
            else:
                return True
        return False


class Lease:
    """One slot of a pool, for the time of one request.

    Args:
        pool: Where it came from, and where it goes back to.
        slot: No longer free in that pool.
    """

    def __init__(self, pool: SlotPool, slot: Slot) -> None:
        self.slot = slot
        self._pool = pool
        self._taken_over = threading.Lock()
        self._released = threading.Lock()

    def sent(self) -> None:
        """Note that the server may read the buffer from now on."""
        self._pool.mark_sent(self.slot)

    def take_over(self) -> bool:
        """Become responsible for the buffer; true only for the first caller.

        Ctrl-C may interrupt a `submit` while another thread begins to send its frame. One of the
        two gets the buffer: either `submit` releases it and nothing is sent, or the other thread
        sends, and releases it after the answer.
        """
        # The lock is never released: only the first caller gets it.
        return self._taken_over.acquire(blocking=False)

    def release(self) -> None:
        """Give the buffer back. Any thread may call this, and only the first call counts."""
        if self._released.acquire(blocking=False):
            self._pool.take_back(self.slot)
