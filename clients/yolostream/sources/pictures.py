"""Pictures, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from yolostream.errors import SourceError
from yolostream.frame import Frame
from yolostream.image import Image
from yolostream.sources.source import EVERYTHING, Reading, Session


@dataclass(frozen=True)
class Pictures:
    """A picture, or several in order of their names: one source, nothing to track."""

    paths: tuple[Path, ...]
    name: str
    is_video = False
    is_live = False
    reopens = False

    @property
    def files(self) -> list[Path]:
        """The pictures."""
        return list(self.paths)

    def is_reachable(self) -> bool:
        """See `Source`."""
        return True

    def open(self, reading: Reading = EVERYTHING) -> PictureSession:
        """Open them; each is read when its turn comes, and kept whole."""
        return PictureSession(self, reading)


class PictureSession(Session):
    """The frames of pictures, one a second."""

    frame_rate = Fraction(1)

    def __init__(self, pictures: Pictures, reading: Reading) -> None:
        self.frame_count: int | None = len(pictures.paths)
        self._pictures = pictures
        self._stride = reading.stride

    def __iter__(self) -> Iterator[Frame]:
        """Read picture by picture; see `Session`. A broken one is reported after the others."""
        broken = []
        for index, path in enumerate(self._pictures.paths):
            if index % self._stride:
                continue
            image = _read_picture(path)
            if image is None:
                broken.append(str(path))
                continue
            source = self._pictures.name
            yield Frame(image, index, index, 1 / self.frame_rate, path.name, source)
        if broken:
            raise SourceError(f"no readable picture: {', '.join(broken)}; the others were kept")

    def close(self) -> None:
        """Nothing is held."""


def _read_picture(path: Path) -> Image | None:
    # Read by Python first: OpenCV would write its own complaint about a missing file to stderr.
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError:
        return None
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if picture is None:
        return None
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]
