"""Pictures that move: GIF, PNG, WebP and AVIF hold one picture or a video."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from yolostream.errors import SourceError
from yolostream.frame import Frame
from yolostream.image import Image
from yolostream.sources.source import EVERYTHING, Reading, Session

_HEAD_BYTES = 1 << 16
# The end of a block, a frame's time and colors, and the frame: in a GIF that moves it comes again.
_GIF_FRAME = re.compile(rb"\0!\xf9\x04.{4}\0[,!]", re.DOTALL)
_FRAMES_AT_ONCE = 32
_MILLISECOND = Fraction(1, 1000)
_NO_TIME_MS = 100
"""Of a picture that names no time, as browsers have it."""


def is_animated(path: Path) -> bool:
    """Whether a file of pictures is to be played; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            if head.startswith(b"GIF8"):
                return len(_GIF_FRAME.findall(head + file.read())) > 1
    except OSError:
        return False
    if head.startswith(b"\x89PNG"):
        return b"acTL" in head.partition(b"IDAT")[0]
    return _is_webp_or_avif(head)


def _is_webp_or_avif(head: bytes) -> bool:
    # WebP's extended header has a bit for that, AVIF a brand.
    is_webp = head[8:16] == b"WEBPVP8X" and len(head) > 20 and bool(head[20] & 0b10)
    return is_webp or head[4:12] == b"ftypavis"


@dataclass(frozen=True)
class Animation:
    """A WebP or AVIF that moves: FFmpeg reads the others, but of these one picture at most."""

    path: Path
    name: str
    is_video = True
    is_live = False
    reopens = False

    @staticmethod
    def reads(path: Path) -> bool:
        """Whether a file is one."""
        with path.open("rb") as file:
            return _is_webp_or_avif(file.read(32))

    @property
    def files(self) -> list[Path]:
        """The file that it reads."""
        return [self.path]

    def is_reachable(self) -> bool:
        """See `Source`."""
        return self.path.exists()

    def open(self, reading: Reading = EVERYTHING) -> AnimationSession:
        """Open it; see `Source`. Its pictures are kept whole."""
        return AnimationSession(self, reading)


class AnimationSession(Session):
    """The frames of an animation, once, each at its time."""

    frame_count = None

    def __init__(self, animation: Animation, reading: Reading) -> None:
        self._animation = animation
        self._stride = reading.stride
        try:
            self._data = np.frombuffer(animation.path.read_bytes(), np.uint8)
        except OSError as error:
            raise SourceError(f"cannot read {animation.path} ({error.strerror})") from error
        first = next(self._pictures(count=1), None)
        if first is None:
            raise SourceError(f"cannot read {animation.path} as WebP or AVIF: is it damaged?")
        self.frame_rate = 1 / (first[1] * _MILLISECOND)

    def __iter__(self) -> Iterator[Frame]:
        """Decode frame by frame; see `Session`."""
        pts = 0
        for index, (image, duration) in enumerate(self._pictures(count=_FRAMES_AT_ONCE)):
            if index % self._stride == 0:
                yield Frame(image, index, pts, _MILLISECOND, source=self._animation.name)
            pts += duration

    def close(self) -> None:
        """Nothing is held."""

    def _pictures(self, *, count: int) -> Iterator[tuple[Image, int]]:
        """Each picture and its milliseconds; so many are decoded at once."""
        start = 0
        while (batch := _decoded(self._data, start, count)) and batch.frames:
            for picture, duration in zip(batch.frames, batch.durations, strict=True):
                yield _rgb(picture), int(duration) or _NO_TIME_MS
            start += len(batch.frames)


def _decoded(data: npt.NDArray[np.uint8], start: int, count: int) -> cv2.Animation | None:
    try:
        is_read, batch = cv2.imdecodeanimation(data, start=start, count=count)
    except cv2.error:
        return None
    return batch if is_read else None


def _rgb(picture: npt.NDArray[Any]) -> Image:
    # Blue, green, red, and maybe how opaque it is.
    return np.ascontiguousarray(picture[..., 2::-1])
