"""Annotated pictures, for sources of still pictures."""

from __future__ import annotations

from pathlib import Path

import cv2

from yolostream.detections import Detections
from yolostream.errors import OutputError
from yolostream.frame import Frame
from yolostream.image import Image
from yolostream.outputs.output import writing
from yolostream.sources.naming import FILE_NAME_BYTES, shortened

_KEPT = {".avif", ".bmp", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
"""Suffixes of the formats that are kept; other pictures are written as JPEG or PNG."""
_AS_JPEG = {".heic", ".heif", ".hif", ".jfif"}


class AnnotatedPictures:
    """Writes each frame as a file with the picture's name and, if possible, in its format."""

    kind = "pictures"
    draws = True
    lost = 0

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: set[str] = set()
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def write(self, frame: Frame, annotated: Image, detections: Detections) -> None:
        """Add one frame; see `Output`."""
        path = self._folder / self._free_name(_as_written(Path(frame.name)))
        done, data = cv2.imencode(path.suffix, cv2.cvtColor(annotated, cv2.COLOR_RGB2BGR))
        if not done:
            raise OutputError(f"cannot encode {path}: convert the source to JPEG or PNG")
        with writing(path):
            try:
                path.write_bytes(data.tobytes())
            except OSError:
                path.unlink(missing_ok=True)
                raise

    def _free_name(self, name: Path) -> str:
        number, free = 1, name.name
        while free in self._taken:
            number += 1
            free = shortened(name.stem, FILE_NAME_BYTES, f"_{number}{name.suffix}")
        self._taken.add(free)
        return free

    def close(self) -> None:
        """Do nothing: no file stays open."""


def _as_written(name: Path) -> Path:
    suffix = name.suffix.lower()
    if suffix in _KEPT:
        return name
    return name.with_suffix(".jpg" if suffix in _AS_JPEG else ".png")
