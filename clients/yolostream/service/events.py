"""Events of the service. A follower can also receive events of the recent past."""

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

MAX_REMEMBERED = 1000

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
"""A follower receives `missed` first if events after the id that it gave are forgotten."""


@dataclass(frozen=True)
class Event:
    """An event of the service or of a camera."""

    id: str
    """A follower that gives this id receives the events after it."""
    type: EventType
    time: float
    """Unix time in seconds."""
    camera: str = ""
    """Name of the camera; empty if the event is not about one camera."""
    details: dict[str, Any] = field(default_factory=dict)
    """Details, which depend on the type; `docs/rest.md` lists them."""

    @property
    def json(self) -> bytes:
        """The event as one line of JSON."""
        return orjson.dumps(self)


class Events:
    """Passes events to followers, and remembers the last `MAX_REMEMBERED` of them.

    All methods may be called from any thread.
    """

    def __init__(self) -> None:
        # Part of each id, because the numbers begin at 1 with each start of the service.
        self._start = secrets.token_hex(4)
        self._count = 0
        self._last: deque[Event] = deque(maxlen=MAX_REMEMBERED)
        self._followers: set[Callable[[Event], None]] = set()
        self._lock = threading.Lock()

    @property
    def follower_count(self) -> int:
        """Number of followers."""
        return len(self._followers)

    def publish(self, type: EventType, camera: str = "", **details: Any) -> None:
        """Add an event that happens now, and pass it to all followers."""
        with self._lock:
            self._count += 1
            event = Event(self._id(self._count), type, round(time.time(), 3), camera, details)
            self._last.append(event)
            for on_event in self._followers:
                on_event(event)

    @contextlib.contextmanager
    def following(self, on_event: Callable[[Event], None], *, after: str = "") -> Iterator[None]:
        """Follow the events until the block ends.

        Args:
            on_event: called with each event, in any thread. It must not block.
            after: id of the last event that the follower knows. Later events that are remembered
                are passed first. Empty for new events only.
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
