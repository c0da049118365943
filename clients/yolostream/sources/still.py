"""Reads a picture, of whatever format."""

from __future__ import annotations

import contextlib
import io
import logging
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, NoReturn

import av
import cv2
import numpy as np
import numpy.typing as npt

from yolostream.errors import SourceError
from yolostream.image import Image
from yolostream.replacing import refuse_special_file
from yolostream.sources.hdr import ToneMapper, is_hdr

_AVIF_BRANDS, _HEIF_BRANDS = (b"avif", b"avis"), (b"heic", b"heix", b"mif1")

_TIFF_BEGINNINGS = (b"II*\0", b"MM\0*")
_BY_PILLOW = (".dds", ".dib", ".ico", ".pcx", ".psd", ".qoi", ".sgi", ".tga")
"""Suffixes of formats that OpenCV does not know. Some have no beginning that tells."""
_TOLD_BY_PILLOW = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Formats of which Pillow is asked what is wrong. For others it would start other programs."""

_log = logging.getLogger(__name__)


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
            is_heif = any(brand in _brands_in(head) for brand in (*_AVIF_BRANDS, *_HEIF_BRANDS))
            return is_heif or cv2.haveImageReader(str(path))
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
    try:
        return _decoded(data, page, name) if data else _refuse("it is empty")
    except SourceError:
        raise
    # Each format's reader raises its own.
    except Exception as error:
        raise SourceError(_reason_of(error)) from error


def _decoded(data: bytes, page: int, name: str) -> Image:
    brands = _brands_in(data)
    if any(brand in brands for brand in _AVIF_BRANDS):
        return _read_avif(data)
    if brands:
        return _read_heif(data, name)
    image = _read_by_opencv(data, page)
    if image is not None:
        return image
    suffix = PurePath(name).suffix.lower()
    return _read_by_pillow(data, suffix) if suffix in _BY_PILLOW else _refuse(_why_not(data))


def _refuse(reason: str) -> NoReturn:
    raise SourceError(reason)


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
        brands = _brands_in(data)
        if brands and not any(brand in brands for brand in _AVIF_BRANDS):
            import pi_heif

            width, height = pi_heif.open_heif(data).size
        else:
            with Pillow.open(io.BytesIO(data), "r", (*_TOLD_BY_PILLOW, "AVIF")) as picture:
                width, height = picture.size
    # Each format's reader raises its own.
    except Exception:
        return None
    return height, width


def _brands_in(data: bytes) -> bytes:
    """What a file of ISO's boxes says that it is; empty for others."""
    return data[8 : int.from_bytes(data[:4])] if data[4:8] == b"ftyp" else b""


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


def _read_avif(data: bytes) -> Image:
    """AVIF, which OpenCV takes as it is stored and not as it is to be shown."""
    from PIL import Image as Pillow
    from PIL import ImageOps

    with Pillow.open(io.BytesIO(data)) as avif:
        values = np.array(ImageOps.exif_transpose(avif).convert("RGB"))
    # Pillow does not tell. Behind the box's name are the primaries, then the transfer.
    place = data.find(b"colrnclx")
    transfer = struct.unpack_from(">HH", data, place + 8)[1] if place >= 0 else 0
    return _usual(values, transfer)


def _read_heif(data: bytes, name: str) -> Image:
    """HEIC, whose tiles libheif puts together and turns."""
    import pi_heif

    pictures = pi_heif.open_heif(data, convert_hdr_to_8bit=False)
    if len(pictures) > 1:
        _log.warning("%s holds %d pictures: only its main one is read", name, len(pictures))
    # A copy: what libheif lends lives no longer than the picture.
    values = np.array(pictures)
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=2)
    transfer = pictures.info.get("nclx_profile", {}).get("transfer_characteristics", 0)
    return _usual(np.ascontiguousarray(values[..., :3]), transfer)


def _usual(values: npt.NDArray[Any], transfer: int) -> Image:
    """A picture (uint8 or uint16 [H, W, 3]) as uint8, of no high dynamic range."""
    if is_hdr(transfer):
        deep = values if values.dtype == np.uint16 else values * np.uint16(257)
        frame = av.VideoFrame.from_ndarray(deep, format="rgb48le")
        return ToneMapper(transfer)(frame).to_ndarray()  # type: ignore[return-value]
    return values if values.dtype == np.uint8 else (values >> 8).astype(np.uint8)
