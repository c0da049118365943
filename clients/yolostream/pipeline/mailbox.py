"""Where decoded frames wait to be sent."""

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
    """What becomes of frames that come faster than they are taken."""

    policy: Policy
    """`block` holds the source back and loses nothing; `newest` never does, and the oldest go."""
    capacity: int
    max_age_s: float = float("inf")
    """An older frame is not worth sending any more."""


class Mailbox:
    """Holds the frames of one source, in order, until they are sent.

    Args:
        admission: how many, and which of them.
        on_frame: called after every change that a taker waits for: a frame, or the end.
        on_drop: called for every frame that will not be sent, with the cause.
    """

    def __init__(
        self,
        admission: Admission,
        *,
        on_frame: Callable[[], None],
        on_drop: Callable[[Frame, Drop], None],
    ) -> None:
        self.admission = admission
        """It may be replaced by one of the same policy."""
        self._on_frame = on_frame
        self._on_drop = on_drop
        self._frames: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, frame: Frame) -> bool:
        """Add a frame; where the policy is `block`, wait for room.

        Returns:
            False where nobody takes frames any more.
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
        """The oldest frame that is fresh enough; None where there is none."""
        with self._changed:
            while self._frames:
                frame = self._frames.popleft()
                self._changed.notify()
                if frame.age_s <= self.admission.max_age_s:
                    return frame
                self._on_drop(frame, "stale")
        return None

    def close(self, *, discard: bool = False) -> None:
        """No more frames come; with `discard`, those that wait are not sent either."""
        with self._changed:
            self._closed = True
            if discard:
                self._frames.clear()
            self._changed.notify_all()
        self._on_frame()

    @property
    def is_exhausted(self) -> bool:
        """Whether nothing is there and nothing will come."""
        with self._changed:
            return self._closed and not self._frames

    @property
    def is_closed(self) -> bool:
        """Whether nobody takes frames any more."""
        return self._closed

    def __bool__(self) -> bool:
        return bool(self._frames)

    @property
    def _is_full(self) -> bool:
        return len(self._frames) >= self.admission.capacity
