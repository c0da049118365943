"""Lets a few requests of a kind be answered at once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http import HTTPStatus

from yolostream.service.web.problems import Problem


class Places:
    """So many at once; the others are told to come back.

    Args:
        most: at once.
        what: they ask for.
    """

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._free = threading.Semaphore(most)

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Hold one until the block ends.

        Raises:
            Problem: none is free.
        """
        if not self._free.acquire(blocking=False):
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{self._most} requests for {self._what} are being answered",
                "come back in a second",
                kind="busy",
                headers={"Retry-After": "1"},
            )
        try:
            yield
        finally:
            self._free.release()
