"""A bounded queue of decoded frames that wait to be sent."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from yolostream.frame import Frame
from yolostream.pipeline.status import Drop

Policy = Literal["block", "newest"]


@dataclass(frozen=True)
class Admission:
    """What happens to frames that come faster than they are taken."""

    policy: Policy
    """`block` makes the source wait and loses nothing; `newest` drops the oldest frame."""
    capacity: int
    """Most frames that wait."""
    max_age_s: float = float("inf")
    """Seconds since decoding after which a frame is dropped instead of being sent."""


class Mailbox:
    """Holds the frames of one source, in order, until they are sent.

    Args:
        admission: how many frames may wait, and which are dropped.
        on_frame: called after each frame that was added, and at the end.
        on_drop: called for every frame that is dropped, with the cause.
    """

    def __init__(
        self,
        admission: Admission,
        *,
        on_frame: Callable[[], None],
        on_drop: Callable[[Frame, Drop], None],
    ) -> None:
        self.admission = admission
        """It may be replaced by another one with the same policy."""
        self._on_frame = on_frame
        self._on_drop = on_drop
        self._frames: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, frame: Frame) -> bool:
        """Add a frame; with the policy `block`, wait for room.

        Returns:
            False if the mailbox is closed.
        """
        with self._changed:
            if self.admission.policy == "block":
                self._changed.wait_for(lambda: self._closed or not self._is_full)
            if self._closed:
                return False
            if self._is_full:
                self._on_drop(self._frames.popleft(), "superseded")
            self._frames.append(frame)
        self._on_frame()
        return True

    def take(self) -> Frame | None:
        """Take the oldest frame that is not too old; None if there is none."""
        with self._changed:
            while self._frames:
                frame = self._frames.popleft()
                self._changed.notify()
                if frame.age_s <= self.admission.max_age_s:
                    return frame
                self._on_drop(frame, "stale")
        return None

    def close(self, *, discard: bool = False) -> None:
        """Accept no more frames; with `discard`, drop those that wait."""
        with self._changed:
            self._closed = True
            if discard:
                self._frames.clear()
            self._changed.notify_all()
        self._on_frame()

    @property
    def is_exhausted(self) -> bool:
        """Whether it is closed and empty."""
        with self._changed:
            return self._closed and not self._frames

    @property
    def is_closed(self) -> bool:
        """Whether it accepts no more frames."""
        return self._closed

    def __bool__(self) -> bool:
        return bool(self._frames)

    @property
    def _is_full(self) -> bool:
        return len(self._frames) >= self.admission.capacity
