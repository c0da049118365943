"""The workers of the service."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import wait

from yolostream.service.messages import Extend
from yolostream.service.worker import Worker

CAMERAS_A_WORKER = 4
"""Cameras that one Python interpreter can serve with time to spare."""

STOP_TIMEOUT_S = 3.8
"""Workers that take longer to stop are killed."""

_POLL_S = 0.25
"""Longest time that `listen` waits for a message."""


class Workers:
    """Starts workers when cameras need them, receives their messages, and stops them.

    All methods except `listen` and `stop` may be called from any thread.

    Args:
        new_worker: starts a worker. Its messages are handled in the thread that calls `listen` or
            `stop`.
        most: largest number of workers.
    """

    def __init__(self, new_worker: Callable[[], Worker], most: int) -> None:
        self._new_worker = new_worker
        self._most = most
        self._workers: list[Worker] = []
        self._extended = Extend("", 0.0)
        self._lock = threading.Lock()
        self._woken, self._wake = Pipe(duplex=False)

    def all(self) -> Sequence[Worker]:
        """All workers, in the order in which they were first started."""
        with self._lock:
            return list(self._workers)

    def with_room(self) -> Worker:
        """The worker with the fewest cameras, or a new one if all have enough."""
        with self._lock:
            least = min(self._workers, key=lambda worker: len(worker.cameras), default=None)
            is_full = least is None or len(least.cameras) >= CAMERAS_A_WORKER
            if is_full and len(self._workers) < self._most:
                least = self._new_worker()
                least.extend(self._extended)
                self._workers.append(least)
                # A call of `listen` that waits now does not know the new worker's pipe.
                self.wake()
            assert least is not None
            return least

    def extend(self, command: Extend) -> None:
        """Extend the leases of all cameras."""
        with self._lock:
            self._extended = command
            for worker in self._workers:
                worker.extend(command)

    def are_stopping(self, camera: str) -> bool:
        """Whether a worker has dropped a camera that may not have stopped yet."""
        return any(worker.is_stopping(camera) for worker in self.all())

    def wake(self) -> None:
        """Make `listen` return at once."""
        self._wake.send_bytes(b"")

    def listen(self) -> None:
        """Handle messages that arrive within `_POLL_S`, and restart workers that died."""
        workers = [one for one in self.all() if not one.is_done]
        for worker in workers:
            worker.restart_if_due()
        of_connection = {one.connection: one for one in workers if one.connection is not None}
        for ready in wait([*of_connection, self._woken], _POLL_S):
            if ready is self._woken:
                self._woken.recv_bytes()
            else:
                of_connection[ready].receive()  # type: ignore[index]

    def stop(self) -> None:
        """End all workers after their frames in flight. Takes at most `STOP_TIMEOUT_S`."""
        for worker in self.all():
            worker.ask_to_stop()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while time.monotonic() < deadline and not all(one.is_done for one in self.all()):
            self.listen()
        for worker in self.all():
            worker.close()
