"""Reads a picture, of whatever format."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from yolostream.errors import SourceError
from yolostream.image import Image
from yolostream.replacing import refuse_special_file
from yolostream.sources.heif import begins_as_heif, brands_in, heif_size, read_heif

_TIFF_BEGINNINGS = (b"II*\0", b"MM\0*")
_BY_PILLOW = (".dds", ".dib", ".ico", ".pcx", ".psd", ".qoi", ".sgi", ".tga")
"""Suffixes of formats that OpenCV does not know. Some have no beginning that tells."""
_TOLD_BY_PILLOW = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Formats of which Pillow is asked what is wrong. For others it would start other programs."""


def begins_as_picture(path: Path) -> bool:
    """Whether a file is a picture that is read here, by its first bytes."""
    # A pipe would be read by that, and give what it had no second time.
    with contextlib.suppress(OSError, UnicodeError, cv2.error):
        if path.is_file():
            with path.open("rb") as file:
                head = file.read(64)
            if head.startswith(_TIFF_BEGINNINGS):
                # Raw pictures of cameras, too, of which OpenCV would read the preview.
                return False
            return begins_as_heif(head) or cv2.haveImageReader(str(path))
    return False


def read_picture(path: Path, page: int = 0) -> Image:
    """Read one picture, upright as its EXIF orientation or its container says.

    Args:
        path: of a file in any format that OpenCV, libheif or Pillow knows, whatever its suffix.
        page: of a TIFF, from 0.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        SourceError: it cannot be read. The message is the reason alone.
    """
    # Read by Python first: OpenCV would write its own complaint about a missing file to stderr.
    try:
        refuse_special_file(path)
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(_reason_of(error)) from error
    return picture_in(data, page, name=str(path))


def picture_in(data: bytes, page: int = 0, *, name: str = "") -> Image:
    """The picture in the bytes of a file; see `read_picture`.

    Args:
        data: all of them.
        page: of a TIFF, from 0.
        name: of the file, whose suffix tells some formats; empty where nobody knows.

    Raises:
        SourceError: it cannot be read; the message is the reason alone.
    """
    if not data:
        raise SourceError("it is empty")
    try:
        image = _decoded(data, page, name)
    # Each format's reader raises its own.
    except Exception as error:
        raise SourceError(_reason_of(error)) from error
    if image is None:
        raise SourceError(_why_not(data))
    return image


def _decoded(data: bytes, page: int, name: str) -> Image | None:
    if brands_in(data):
        return read_heif(data, name)
    image = _read_by_opencv(data, page)
    suffix = PurePath(name).suffix.lower()
    return _read_by_pillow(data, suffix) if image is None and suffix in _BY_PILLOW else image


def _reason_of(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    match error:
        case UnidentifiedImageError():
            return "it is no picture of a kind that is read here"
        case OSError(strerror=str(reason)):
            return reason
        case cv2.error():
            return f"OpenCV: {error.err}"
    return str(error) or type(error).__name__


def _why_not(data: bytes) -> str:
    """Why OpenCV, which does not tell, reads no picture in `data`: by the word of Pillow."""
    from PIL import Image as Pillow

    try:
        # It warns of large pictures.
        with (
            warnings.catch_warnings(action="ignore"),
            Pillow.open(io.BytesIO(data), "r", _TOLD_BY_PILLOW) as picture,
        ):
            picture.load()
    except Exception as error:
        return _reason_of(error)
    return f"{picture.format} of mode {picture.mode} is not read: convert it to PNG"


def size_in(data: bytes) -> tuple[int, int] | None:
    """Height and width that the head of a picture's bytes tells; nothing is decoded.

    Returns:
        None where it is no picture of a format that tells.
    """
    from PIL import Image as Pillow

    try:
        if brands_in(data):
            width, height = heif_size(data)
        else:
            with Pillow.open(io.BytesIO(data), "r", _TOLD_BY_PILLOW) as picture:
                width, height = picture.size
    # Each format's reader raises its own.
    except Exception:
        return None
    return height, width


def _read_by_opencv(data: bytes, page: int) -> Image | None:
    encoded = np.frombuffer(data, np.uint8)
    with _without_opencvs_log():
        if page:
            is_read, pages = cv2.imdecodemulti(encoded, cv2.IMREAD_COLOR, range=(page, page + 1))
            picture: npt.NDArray[Any] | None = pages[0] if is_read else None
        else:
            picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if picture is None:
        return None
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


@contextlib.contextmanager
def _without_opencvs_log() -> Iterator[None]:
    """Keep its words about broken pictures off stderr: they are told in ours."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _read_by_pillow(data: bytes, suffix: str) -> Image:
    from PIL import Image as Pillow

    with Pillow.open(io.BytesIO(data), "r", (suffix[1:],)) as picture:
        return np.array(picture.convert("RGB"))
