"""Limits how many expensive requests are handled at the same time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http import HTTPStatus

from yolostream.service.web.problems import Problem


class ConcurrencyLimit:
    """Rejects requests while too many of the same kind are handled.

    Args:
        limit: requests that may be handled at the same time.
        what: what they request, for the error message.
    """

    def __init__(self, limit: int, what: str) -> None:
        self._limit = limit
        self._what = what
        self._free = threading.Semaphore(limit)

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Occupy one slot until the block ends.

        Raises:
            Problem: no slot is free.
        """
        if not self._free.acquire(blocking=False):
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{self._limit} requests for {self._what} are already running",
                "try again in a second",
                kind="busy",
                headers={"Retry-After": "1"},
            )
        try:
            yield
        finally:
            self._free.release()
