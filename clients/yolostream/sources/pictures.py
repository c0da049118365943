"""A source of still pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from yolostream.errors import SourceError
from yolostream.frame import Frame
from yolostream.sources.presence import Presence
from yolostream.sources.source import EVERYTHING, Reading, Session
from yolostream.sources.still import read_picture
from yolostream.sources.tiff import pages_of


@dataclass(frozen=True)
class Pictures:
    """One picture, or several in the order of their names, as one source without tracking.

    Each page of a TIFF is a picture.
    """

    paths: tuple[Path, ...]
    name: str
    is_video = False
    is_live = False
    is_pipe = False
    reopens = False

    @property
    def files(self) -> list[Path]:
        """The pictures."""
        return list(self.paths)

    def presence(self) -> Presence:
        """See `Source`."""
        return Presence.ANSWERS

    def open(self, reading: Reading = EVERYTHING) -> PictureSession:
        """Open them; each picture is read when its turn comes, and is not downscaled."""
        return PictureSession(self, reading)


class PictureSession(Session):
    """The frames of pictures, one per second."""

    frame_rate = Fraction(1)

    def __init__(self, pictures: Pictures, reading: Reading) -> None:
        self._pages = [(path, page) for path in pictures.paths for page in pages_of(path)]
        self.frame_count: int | None = len(self._pages)
        self._source = pictures.name
        self._stride = reading.stride

    def __iter__(self) -> Iterator[Frame]:
        """Read picture by picture; see `Session`. Broken ones are reported after all the others."""
        broken, is_any_read = [], False
        for index, (path, page) in enumerate(self._pages):
            if index % self._stride:
                continue
            try:
                image = read_picture(path, page)
            except SourceError as error:
                broken.append(f"{path} ({error})")
                continue
            is_any_read = True
            yield Frame(image, index, index, 1 / self.frame_rate, path.name, self._source)
        if broken:
            kept = "; the others were kept" * is_any_read
            raise SourceError(f"no readable picture: {', '.join(broken)}{kept}")

    def close(self) -> None:
        """Do nothing: no file stays open."""
