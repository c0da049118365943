"""What happens, for those who want to be told, also of what happened a little before."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

MOST_REMEMBERED = 1000

EventType = Literal[
    "camera_added",
    "camera_changed",
    "camera_removed",
    "camera_state",
    "model_switched",
    "model_failed",
    "configuration_problem",
    "configuration_read",
    "lease_acquired",
    "lease_released",
    "leases_lost",
    "worker_restarted",
    "missed",
]
"""`missed` comes first where more happened since the id that was given than is remembered."""


@dataclass(frozen=True)
class Event:
    """Something that happened."""

    id: str
    """Gives what came after it."""
    type: EventType
    time: float
    """Unix time in seconds."""
    camera: str = ""
    """Empty where it is about none."""
    details: dict[str, Any] = field(default_factory=dict)
    """By type; `docs/rest.md` has them."""

    @property
    def json(self) -> bytes:
        """All of it on one line."""
        return orjson.dumps(self)


class Events:
    """Remembers the last events, and tells those who follow.

    All methods may be called from any thread.
    """

    def __init__(self) -> None:
        # Numbers begin anew with each start.
        self._start = secrets.token_hex(4)
        self._count = 0
        self._last: deque[Event] = deque(maxlen=MOST_REMEMBERED)
        self._followers: set[Callable[[Event], None]] = set()
        self._lock = threading.Lock()

    @property
    def follower_count(self) -> int:
        """How many follow."""
        return len(self._followers)

    def publish(self, type: EventType, camera: str = "", **details: Any) -> None:
        """Something happened."""
        with self._lock:
            self._count += 1
            event = Event(self._id(self._count), type, round(time.time(), 3), camera, details)
            self._last.append(event)
            for on_event in self._followers:
                on_event(event)

    @contextlib.contextmanager
    def following(self, on_event: Callable[[Event], None], *, after: str = "") -> Iterator[None]:
        """Be told what happens, until the block ends.

        Args:
            on_event: is called in any thread, and returns at once.
            after: id of the last event that is known: what came after it comes first.
        """
        with self._lock:
            for event in self._since(after):
                on_event(event)
            self._followers.add(on_event)
        try:
            yield
        finally:
            with self._lock:
                self._followers.discard(on_event)

    def _since(self, known: str) -> Iterator[Event]:
        if not known:
            return
        start, _, number = known.partition("-")
        last = int(number) if start == self._start and number.isdecimal() else -1
        forgotten = self._count - len(self._last)
        if last < forgotten:
            yield Event(self._id(forgotten), "missed", round(time.time(), 3))
        for count, event in enumerate(self._last, forgotten + 1):
            if count > last:
                yield event

    def _id(self, count: int) -> str:
        return f"{self._start}-{count}"
