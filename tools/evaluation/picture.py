"""A picture of a dataset, on disk until it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
from PIL import ExifTags, ImageOps
from yolostream.image import Image

from tools.errors import DatasetError

_TURNED_BY_90 = (5, 6, 7, 8)
"""Values of the EXIF orientation that swap width and height."""


@dataclass(frozen=True)
class Picture:
    """A picture whose header has been read.

    Attributes:
        id: `image_id` of its annotations.
        path: Its file.
        width: In pixels, upright as its EXIF orientation says.
        height: Likewise.
    """

    id: int
    path: Path
    width: int
    height: int


def open_picture(image_id: int, path: Path) -> Picture:
    """Read the header of a picture.

    Raises:
        DatasetError: It is no picture with 8 bits a color.
    """
    try:
        with PIL.Image.open(path) as picture:
            width, height = picture.size
            turned = picture.getexif().get(ExifTags.Base.Orientation) in _TURNED_BY_90
            mode = picture.mode
    # Every format's reader raises its own.
    except Exception as error:
        raise DatasetError(f"no readable picture: {path} ({error}): replace it") from error
    if mode.startswith(("I", "F")):
        raise DatasetError(f"{path} has more than 8 bits a pixel (mode {mode}): convert it")
    return Picture(image_id, path, *((height, width) if turned else (width, height)))


def read_pixels(picture: Picture) -> Image:
    """Decode a picture: uint8 [height, width, 3], RGB, upright.

    Pillow gives the pixels that the client's OpenCV gives, but does not make up the rest of a file
    that was cut off.

    Raises:
        DatasetError: It is broken.
    """
    try:
        with PIL.Image.open(picture.path) as opened:
            return np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    except Exception as error:
        raise DatasetError(f"no readable picture: {picture.path} ({error}): replace it") from error


def check_there(paths: list[Path]) -> None:
    """Raise `DatasetError` unless every file is there."""
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(paths)} pictures are missing, the first is {missing[0]}"
        )
