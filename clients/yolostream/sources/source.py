"""What every source gives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from yolostream.image import AnyImage


@dataclass(frozen=True, repr=False)
class Frame:
    """One decoded frame and its place in time."""

    image: AnyImage
    """uint8 [H, W, 3], RGB; in GPU memory where the GPU has decoded it."""
    index: int
    """0-based number of the frame in its source, counting skipped ones."""
    pts: int
    """Presentation time in units of the source's `time_base`."""
    time_base: Fraction
    """Seconds of one unit of `pts`."""
    name: str = ""
    """File name of a picture; empty for a video's frame."""

    @property
    def pts_seconds(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)


class Source(Protocol):
    """One camera's worth of frames."""

    name: str
    """Names the output files and the rows in them."""
    frame_rate: Fraction
    """Nominal frames per second."""
    frame_count: int | None
    """Frames that the container promises; None where nobody knows."""
    is_live: bool
    """The frames come at their own pace and are lost when nobody takes them."""
    is_video: bool
    """The frames follow each other in time, so that objects can be tracked through them."""

    def __iter__(self) -> Iterator[Frame]:
        """Decode frame by frame.

        Raises:
            SourceError: the source breaks off.
        """

    def close(self) -> None:
        """Let go of the file or device."""

    @property
    def files(self) -> list[Path]:
        """The files that it reads."""


def shown(uri: str) -> str:
    """The address without the user and password in it."""
    return re.sub(r"(?<=://)[^/@]*@", "", uri)
