"""The interface of a source."""

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
    """Which frames of a source are converted to RGB, and in which size."""

    stride: int = 1
    """Every Nth frame is converted."""
    fit: Fit | Callable[[], Fit] = None
    """Height and width that pictures are downscaled to fit into, aspect kept; None leaves them. A
    function is called for every picture."""
    threads: int = 0
    """Threads that decode a file on the CPU; 0 takes one per core. A live source has one thread."""
    silence_s: float = 10.0
    """Seconds without a packet after which reading a live source fails."""
    needs_full_size: Callable[[], bool] = bool
    """Called for every picture: whether it is needed in full size, whatever `fit` says."""
    most_per_second: Callable[[], float] = _no_limit
    """Called for every picture of a video: the number per second that is converted at most."""

    def size_of(self, height: int, width: int) -> tuple[int, int]:
        """Height and width after downscaling of a picture of this height and width."""
        fit = self.fit() if callable(self.fit) else self.fit
        if fit is None or self.needs_full_size():
            return height, width
        return downscaled(height, width, fit=fit)


EVERYTHING = Reading()
"""Every frame, in full size."""


class Session(Protocol):
    """An open source, whose frames can be iterated over once."""

    frame_rate: Fraction
    """Nominal frames per second."""
    frame_count: int | None
    """Number of frames according to the container; None if unknown."""
    decoded_at: float = 0.0
    """`time.monotonic()` when the last picture was decoded, even if it was skipped; 0 before the
    first, and always 0 for a source that cannot stall."""

    def __iter__(self) -> Iterator[Frame]:
        """Decode frame by frame.

        Raises:
            SourceError: the source breaks off.
        """

    def close(self) -> None:
        """Close the file or device. Only the thread that reads may call it."""

    def cancel(self) -> None:
        """Make the thread that reads a live source stop at its next packet."""
        return None


class Source(Protocol):
    """A description of where frames come from. It can be opened repeatedly, and pickled."""

    @property
    def name(self) -> str:
        """Names the output files and the rows in them."""

    @property
    def is_live(self) -> bool:
        """Whether frames come in real time and are lost if nobody takes them."""

    @property
    def is_pipe(self) -> bool:
        """Whether its data can be read only once, so that only the reader may open it."""

    @property
    def reopens(self) -> bool:
        """Whether it is opened again when a session ends, like a camera."""

    @property
    def is_video(self) -> bool:
        """Whether the frames follow each other in time, so that objects can be tracked."""

    @property
    def files(self) -> list[Path]:
        """The files that it reads."""

    def presence(self) -> Presence:
        """Whether it can be reached. Takes 1.5 s at most, plus the lookup of its host's name."""

    def open(self, reading: Reading = EVERYTHING) -> Session:  # frozen
        """Open it; the caller closes the session.

        Raises:
            SourceError: it cannot be read.
        """
