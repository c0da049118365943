"""What every source gives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from yolostream.frame import Frame


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


def redact_credentials(uri: str) -> str:
    """The address without the user and password in it."""
    return re.sub(r"(?<=://)[^/@]*@", "", uri)
