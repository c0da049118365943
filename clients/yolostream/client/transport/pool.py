"""The pool of slots for requests in flight."""

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
"""Wait for a slot that was never sent. Filling a buffer with frames takes much less."""

_LEAST_S = 0.05
"""Shortest timeout for unregistering memory in `close`. A healthy server needs less."""


class Slot:
    """One request in flight, with a buffer for each server that it was sent to.

    Args:
        new_buffer: makes a buffer for a server.
    """

    def __init__(self, new_buffer: Callable[[Ensemble], InputBuffer]) -> None:
        self.ensemble: Ensemble | None = None
        """The server of the request; None if the slot is free."""
        self._new_buffer = new_buffer
        self._buffers: dict[Ensemble, InputBuffer] = {}

    def buffer_at(self, ensemble: Ensemble) -> InputBuffer:
        """The buffer for this server."""
        buffer = self._buffers.get(ensemble)
        if buffer is None:
            for gone in [one for one in self._buffers if one.is_closed]:
                self._buffers.pop(gone).reset()
            buffer = self._buffers[ensemble] = self._new_buffer(ensemble)
        return buffer

    def close(self, *, timeout_s: float) -> None:
        """Free the memory; see `InputBuffer.close`."""
        for ensemble, buffer in self._buffers.items():
            if ensemble.is_closed:
                buffer.reset()
            else:
                buffer.close(timeout_s=timeout_s)


class SlotPool:
    """Lends a slot to each request in flight.

    Args:
        size: largest number of requests in flight.
        new_buffer: makes a buffer for a server.
        url: addresses of the servers, for messages.
    """

    def __init__(
        self, size: int, new_buffer: Callable[[Ensemble], InputBuffer], *, url: str
    ) -> None:
        self.slots = [Slot(new_buffer) for _ in range(size)]
        # Last in, first out, because the last buffer used is still in the processor's cache.
        self.free: queue.LifoQueue[Slot] = queue.LifoQueue()
        for slot in self.slots:
            self.free.put(slot)
        self._at_server: set[Slot] = set()
        self._url = url
        self._closed = False
        self._process = os.getpid()

    @property
    def is_forked(self) -> bool:
        """Whether this process is a fork of the one that made the pool."""
        return os.getpid() != self._process

    def check_process(self) -> None:
        """Raise `ForkError` in a fork of the process that made this."""
        if self.is_forked:
            raise ForkError(
                f"this detector was made in process {self._process}, and process {os.getpid()} is "
                "a fork of it: make a detector in each process, after the fork"
            )

    def in_flight(self) -> Counter[Ensemble]:
        """Number of requests in flight at each server."""
        return Counter(slot.ensemble for slot in self.slots if slot.ensemble is not None)

    def lend(self, *, timeout_s: float) -> Lease:
        """Wait for a free slot.

        Raises:
            DeadlineExceeded: no slot became free within `timeout_s`.
            ServerUnavailable: the pool is closed.
            ForkError: this process was forked after the pool was made.
        """
        self.check_process()
        if self._closed:
            raise ServerUnavailable("this detector is closed: make a new one")
        try:
            return Lease(self, self.free.get(timeout=timeout_s))
        except queue.Empty:
            raise DeadlineExceeded(
                f"all {len(self.slots)} requests of this detector were in flight for "
                f"{timeout_s:g} s: {self._url} is too slow; send fewer frames"
            ) from None

    def reserve(self, ensemble: Ensemble, frames: int, *, height: int, width: int) -> None:
        """Allocate the memory of each slot for so many frames. No request may be in flight."""
        self.check_process()
        for slot in self.slots:
            slot.buffer_at(ensemble).reserve(frames, height=height, width=width)

    def close(self, *, timeout_s: float) -> None:
        """Wait for the requests in flight, then free the memory.

        Args:
            timeout_s: seconds for all of this. Memory that a server may still read afterwards is
                kept.
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
        """Note that a server may read the buffer until `take_back`. Called by `Lease`."""
        self._at_server.add(slot)

    def take_back(self, slot: Slot) -> None:
        """Put the slot back into the pool. Called by `Lease`."""
        slot.ensemble = None
        self._at_server.discard(slot)
        self.free.put(slot)

    def _wait_for_one(self, deadline: float) -> bool:
        while time.monotonic() < deadline:
            try:
                self.free.get(timeout=_GRACE_S)
            except queue.Empty:
                # If Ctrl-C came between `free.get` and `release`, a slot never comes back. Slots
                # whose request was sent always come back.
                if not self._at_server:
                    return False
            else:
                return True
        return False


class Lease:
    """The right to use one slot of a pool, for one request.

    Args:
        pool: the pool that gets the slot back.
        slot: the slot, which is not free in the pool.
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
        """Become responsible for the slot; returns True only for the first caller.

        Ctrl-C may interrupt `submit` while another thread begins to send the frame. Then only one
        of the two gets the slot. Either `submit` releases it and nothing is sent, or the other
        thread sends the frame and releases the slot after the answer.
        """
        # The lock is never released: only the first caller gets it.
        return self._taken_over.acquire(blocking=False)

    def release(self) -> None:
        """Put the slot back. Any thread may call this; only the first call has an effect."""
        if self._released.acquire(blocking=False):
            self._pool.take_back(self.slot)
