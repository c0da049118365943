"""Pictures of a dataset, which are decoded when they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
from PIL import ExifTags, ImageOps
from yolostream.image import Image

from tools.errors import DatasetError

_TURNED_BY_90 = (5, 6, 7, 8)
"""Values of the EXIF orientation for which width and height are swapped."""


@dataclass(frozen=True)
class Picture:
    """A picture whose header was read.

    Attributes:
        id: `image_id` of its annotations.
        path: File of the picture.
        width: Width in pixels, after applying the EXIF orientation.
        height: Height in pixels, after applying the EXIF orientation.
    """

    id: int
    path: Path
    width: int
    height: int


def open_picture(image_id: int, path: Path) -> Picture:
    """Read the header of a picture.

    Raises:
        DatasetError: The file is not a picture, or has more than 8 bits per color.
    """
    try:
        with PIL.Image.open(path) as picture:
            width, height = picture.size
            turned = picture.getexif().get(ExifTags.Base.Orientation) in _TURNED_BY_90
            mode = picture.mode
    # Each format's reader raises errors of its own classes.
    except Exception as error:
        raise DatasetError(f"no readable picture: {path} ({error}): replace it") from error
    if mode.startswith(("I", "F")):
        raise DatasetError(f"{path} has more than 8 bits per color (mode {mode}): convert it")
    return Picture(image_id, path, *((height, width) if turned else (width, height)))


def read_pixels(picture: Picture) -> Image:
    """Decode a picture: uint8 [height, width, 3], RGB, after applying the EXIF orientation.

    Pillow decodes the same pixels as OpenCV in the client. Unlike OpenCV, it reports files that are
    cut off.

    Raises:
        DatasetError: The picture is damaged.
    """
    try:
        with PIL.Image.open(picture.path) as opened:
            return np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    except Exception as error:
        raise DatasetError(f"no readable picture: {picture.path} ({error}): replace it") from error


def check_there(paths: list[Path]) -> None:
    """Raise `DatasetError` unless all files exist."""
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(paths)} pictures are missing, the first is {missing[0]}"
        )
