"""Animated pictures: a GIF, PNG, WebP or AVIF file holds one picture or several frames."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from yolostream.errors import SourceError
from yolostream.frame import Frame
from yolostream.sources.presence import Presence
from yolostream.sources.source import EVERYTHING, Reading, Session

_FORMATS = ("AVIF", "GIF", "PNG", "WEBP")
_MILLISECOND = Fraction(1, 1000)
_NO_TIME_MS = 100
"""Duration of a frame that names none, as in browsers."""


def moving_format(path: Path) -> str | None:
    """`AVIF`, `GIF`, `PNG` or `WEBP` if the file is an animation in that format, else None."""
    if not path.is_file():
        # Opening a pipe would block.
        return None
    # Imported late: Pillow loads slowly, and few sources are pictures.
    from PIL import Image as Pillow

    try:
        # Pillow warns of large pictures.
        with warnings.catch_warnings(action="ignore"), Pillow.open(path, "r", _FORMATS) as file:
            return file.format if getattr(file, "is_animated", False) else None
    # Each format's reader raises its own errors. Reading the picture reports them later.
    except Exception:
        return None


@dataclass(frozen=True)
class Animation:
    """An animated WebP or AVIF. FFmpeg reads only one picture of these; it reads GIF and PNG."""

    path: Path
    name: str
    is_video = True
    is_live = False
    is_pipe = False
    reopens = False

    @property
    def files(self) -> list[Path]:
        """The file that it reads."""
        return [self.path]

    def presence(self) -> Presence:
        """See `Source`."""
        return Presence.ANSWERS if self.path.exists() else Presence.ABSENT

    def open(self, reading: Reading = EVERYTHING) -> AnimationSession:
        """Open it; see `Source`. Its frames are not downscaled."""
        return AnimationSession(self, reading)


class AnimationSession(Session):
    """The frames of an animation, once, with their presentation times."""

    def __init__(self, animation: Animation, reading: Reading) -> None:
        from PIL import Image as Pillow

        self._animation = animation
        self._stride = reading.stride
        try:
            self._file = Pillow.open(animation.path)
            # A WebP frame's duration is known only after it was decoded.
            self._file.load()
        except Exception as error:
            raise SourceError(
                f"cannot read {animation.path} ({error}): copy it again if it is damaged"
            ) from error
        self.frame_count: int | None = getattr(self._file, "n_frames", 1)
        self.frame_rate = 1 / (self._duration_ms * _MILLISECOND)

    def __iter__(self) -> Iterator[Frame]:
        """Decode frame by frame; see `Session`."""
        from PIL import ImageOps

        pts = 0
        for index in range(self.frame_count or 0):
            try:
                self._file.seek(index)
                image = np.array(ImageOps.exif_transpose(self._file).convert("RGB"))
            except Exception as error:
                raise SourceError(
                    f"{self._animation.path} breaks off after {index} of {self.frame_count} frames "
                    f"({error}): the frames before that were kept; copy the file again"
                ) from error
            if index % self._stride == 0:
                yield Frame(image, index, pts, _MILLISECOND, source=self._animation.name)
            pts += self._duration_ms

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def _duration_ms(self) -> int:
        """Duration of the frame that was decoded last."""
        return round(self._file.info.get("duration", 0)) or _NO_TIME_MS
