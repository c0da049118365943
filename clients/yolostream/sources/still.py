"""Reads still pictures in all supported formats."""

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
"""Suffixes of formats that OpenCV cannot read. Some of them have no magic number."""
_EXPLAINED_BY_PILLOW = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Formats for which Pillow tells the size, or why a picture cannot be read. For some others, Pillow
would start external programs."""


def begins_as_picture(path: Path) -> bool:
    """Whether a file is a picture in a supported format, by its first bytes."""
    # Not for a pipe: the bytes that this reads would be lost.
    with contextlib.suppress(OSError, UnicodeError, cv2.error):
        if path.is_file():
            with path.open("rb") as file:
                head = file.read(64)
            if head.startswith(_TIFF_BEGINNINGS):
                # Raw pictures of cameras begin like a TIFF; OpenCV would read only their preview.
                return False
            return begins_as_heif(head) or cv2.haveImageReader(str(path))
    return False


def read_picture(path: Path, page: int = 0) -> Image:
    """Read one picture, turned upright by its EXIF orientation or its container.

    Args:
        path: a file in a format that OpenCV, libheif or Pillow can read. The suffix matters only
            for formats that Pillow reads.
        page: the page of a TIFF, from 0.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        SourceError: it cannot be read. The message is only the reason, without the path.
    """
    # Read by Python: OpenCV would write its own message about a missing file to stderr.
    try:
        refuse_special_file(path)
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(_reason_of(error)) from error
    return picture_in(data, page, name=str(path))


def picture_in(data: bytes, page: int = 0, *, name: str = "") -> Image:
    """Decode the bytes of a picture's file; see `read_picture`.

    Args:
        data: all bytes of the file.
        page: the page of a TIFF, from 0.
        name: the file's name, whose suffix identifies some formats; empty if unknown.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        SourceError: it cannot be read. The message is only the reason, without the name.
    """
    if not data:
        raise SourceError("it is empty")
    try:
        image = _decoded(data, page, name)
    # Each format's reader raises its own errors.
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
            return "it is not a picture in a supported format"
        case OSError(strerror=str(reason)):
            return reason
        case cv2.error():
            return f"OpenCV: {error.err}"
    return str(error) or type(error).__name__


def _why_not(data: bytes) -> str:
    """Why OpenCV cannot decode `data`, according to Pillow: OpenCV itself gives no reason."""
    from PIL import Image as Pillow

    try:
        # Pillow warns of large pictures.
        with (
            warnings.catch_warnings(action="ignore"),
            Pillow.open(io.BytesIO(data), "r", _EXPLAINED_BY_PILLOW) as picture,
        ):
            picture.load()
    except Exception as error:
        return _reason_of(error)
    return f"{picture.format} of mode {picture.mode} is not supported: convert it to PNG"


def size_in(data: bytes) -> tuple[int, int] | None:
    """Height and width of a picture according to its header; nothing is decoded.

    Returns:
        None if `data` is not a picture, or has a format whose header is not read here.
    """
    from PIL import Image as Pillow

    try:
        if brands_in(data):
            width, height = heif_size(data)
        else:
            with Pillow.open(io.BytesIO(data), "r", _EXPLAINED_BY_PILLOW) as picture:
                width, height = picture.size
    # Each format's reader raises its own errors.
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
    """Keep OpenCV's messages about broken pictures off stderr: our errors report them."""
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
