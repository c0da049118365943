"""What every source gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from yolostream.frame import Frame
from yolostream.image import downscaled
from yolostream.sources.presence import Presence

Fit = tuple[int, int] | None


def _no_limit() -> float:
    return math.inf


@dataclass(frozen=True)
class Reading:
    """How much of a source is made into pictures."""

    stride: int = 1
    """Every Nth frame is made into one."""
    fit: Fit | Callable[[], Fit] = None
    """Height and width that pictures are downscaled to fit into, aspect kept; None leaves them. A
    function is asked for every picture."""
    threads: int = 0
    """Threads that decode a file on the CPU; 0 takes one a core. A live source has one thread."""
    silence_s: float = 10.0
    """Seconds without a packet after which a live source is given up by who reads it."""
    is_looked_at: Callable[[], bool] = bool
    """Asked for every picture: whether somebody wants it whole, whatever `fit` says."""
    most_per_second: Callable[[], float] = _no_limit
    """Asked for every picture of a video: how many a second are made into pictures at most."""

    def size_of(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that a picture of this size is made into."""
        fit = self.fit() if callable(self.fit) else self.fit
        if fit is None or self.is_looked_at():
            return height, width
        return downscaled(height, width, fit=fit)


EVERYTHING = Reading()
"""Every frame, whole."""


class Session(Protocol):
    """A source that was opened: its frames, once."""

    frame_rate: Fraction
    """Nominal frames per second."""
    frame_count: int | None
    """Frames that the container promises; None where nobody knows."""
    decoded_at: float = 0.0
    """`time.monotonic()` at the last picture, also one that was left out; 0 before the first, and
    where nobody waits for them."""

    def __iter__(self) -> Iterator[Frame]:
        """Decode frame by frame.

        Raises:
            SourceError: the source breaks off.
        """

    def close(self) -> None:
        """Let go of the file or device; only by the thread that reads."""

    def cancel(self) -> None:
        """Let the thread that reads a live source end at its next packet."""
        return None


class Source(Protocol):
    """One camera's worth of frames: how to open it, again and again. It can be pickled."""

    @property
    def name(self) -> str:
        """Names the output files and the rows in them."""

    @property
    def is_live(self) -> bool:
        """The frames come at their own pace and are lost when nobody takes them."""

    @property
    def is_pipe(self) -> bool:
        """What was read of it is gone: only who takes the frames may open it, once."""

    @property
    def reopens(self) -> bool:
        """An end is none: it is opened again, like a camera that was away."""

    @property
    def is_video(self) -> bool:
        """The frames follow each other in time, so that objects can be tracked through them."""

    @property
    def files(self) -> list[Path]:
        """The files that it reads."""

    def presence(self) -> Presence:
        """How much of it is there. Takes 1.5 s at most, unless no server resolves its name."""

    def open(self, reading: Reading = EVERYTHING) -> Session:  # frozen
        """Open it; the caller closes the session.

        Raises:
            SourceError: it cannot be read.
        """
