"""The processes that run the cameras: started as they are needed, listened to, and stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import wait

from yolostream.service.messages import Extend
from yolostream.service.worker import Worker

CAMERAS_A_WORKER = 4
"""As many as one interpreter feeds with ease."""

STOP_TIMEOUT_S = 3.8
"""Workers that take longer to stop are killed."""

_POLL_S = 0.25
"""A worker that died is looked after so often, and all that stop are."""


class Workers:
    """As many processes as the cameras need.

    All methods but `listen` and `stop` may be called from any thread.

    Args:
        new_worker: starts one more; what that says is received by the thread that calls `listen`
            or `stop`.
        most: processes at most.
    """

    def __init__(self, new_worker: Callable[[], Worker], most: int) -> None:
        self._new_worker = new_worker
        self._most = most
        self._workers: list[Worker] = []
        self._extended = Extend("", 0.0)
        self._lock = threading.Lock()
        self._woken, self._wake = Pipe(duplex=False)

    def all(self) -> Sequence[Worker]:
        """All that were started; one keeps its place here."""
        with self._lock:
            return list(self._workers)

    def with_room(self) -> Worker:
        """The one with the fewest cameras, or a new one where all have enough."""
        with self._lock:
            least = min(self._workers, key=lambda worker: len(worker.cameras), default=None)
            is_full = least is None or len(least.cameras) >= CAMERAS_A_WORKER
            if is_full and len(self._workers) < self._most:
                least = self._new_worker()
                least.extend(self._extended)
                self._workers.append(least)
                # It is listened to from now on.
                self.wake()
            assert least is not None
            return least

    def extend(self, command: Extend) -> None:
        """Let leases count for longer, in all of them."""
        with self._lock:
            self._extended = command
            for worker in self._workers:
                worker.extend(command)

    def are_stopping(self, camera: str) -> bool:
        """Whether something may still run of a camera that one of them was to let go of."""
        return any(worker.is_stopping(camera) for worker in self.all())

    def wake(self) -> None:
        """Have `listen` return at once."""
        self._wake.send_bytes(b"")

    def listen(self) -> None:
        """Take what they say, and start those again that died; waits a fraction of a second."""
        workers = [one for one in self.all() if not one.is_done]
        for worker in workers:
            worker.tend()
        of_connection = {one.connection: one for one in workers if one.connection is not None}
        for ready in wait([*of_connection, self._woken], _POLL_S):
            if ready is self._woken:
                self._woken.recv_bytes()
            else:
                of_connection[ready].take()  # type: ignore[index]

    def stop(self) -> None:
        """End them all: what is on its way comes back. It takes `STOP_TIMEOUT_S` at most."""
        for worker in self.all():
            worker.ask_to_stop()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while time.monotonic() < deadline and not all(one.is_done for one in self.all()):
            self.listen()
        for worker in self.all():
            worker.close()
