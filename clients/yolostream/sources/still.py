"""The pictures in a file: one, but for the pages of a TIFF."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from yolostream.image import Image
from yolostream.sources.hdr import ToneMapper, is_hdr

_TIFF_SUFFIXES = (".tif", ".tiff")
_TIFF_BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_log = logging.getLogger(__name__)


def page_count(path: Path) -> int:
    """Pages of a TIFF; 1 for any other file, also one that cannot be read."""
    if path.suffix.lower() not in _TIFF_SUFFIXES:
        return 1
    try:
        with path.open("rb") as file:
            is_tiff = file.read(4) in _TIFF_BEGINNINGS
        return max(1, cv2.imcount(str(path))) if is_tiff else 1
    except (OSError, UnicodeError, cv2.error):
        return 1


def read_picture(path: Path, page: int = 0) -> Image | None:
    """Read one picture, upright as its EXIF orientation or its container says.

    Args:
        path: of a file in any format that OpenCV, libheif or libavif knows, whatever its suffix.
        page: of a TIFF, from 0.

    Returns:
        uint8 [H, W, 3], RGB; None where it cannot be read.
    """
    # Read by Python first: OpenCV would write its own complaint about a missing file to stderr.
    try:
        data = path.read_bytes()
        # OpenCV knows no HEIC, and takes AVIF as it is stored, not as it is to be shown.
        return _read_heif(data, path) if data[4:8] == b"ftyp" else _read_any(data, page)
    # Each format's reader raises its own.
    except Exception:
        return None


def _read_any(data: bytes, page: int) -> Image | None:
    if not data:
        return None
    encoded = np.frombuffer(data, np.uint8)
    if page:
        is_read, pages = cv2.imdecodemulti(encoded, cv2.IMREAD_COLOR, range=(page, page + 1))
        picture: npt.NDArray[Any] | None = pages[0] if is_read else None
    else:
        picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if picture is None:
        return None
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def _read_heif(data: bytes, path: Path) -> Image:
    """HEIC, whose tiles libheif puts together and turns, or AVIF."""
    # Both take a while to load, and few pictures need them.
    import pi_heif
    from PIL import Image as Pillow
    from PIL import ImageOps

    brands = data[8 : int.from_bytes(data[:4])]
    if b"avif" in brands or b"avis" in brands:
        with Pillow.open(io.BytesIO(data)) as avif:
            return np.array(ImageOps.exif_transpose(avif).convert("RGB"))
    pictures = pi_heif.open_heif(data, convert_hdr_to_8bit=False)
    if len(pictures) > 1:
        _log.warning("%s holds %d pictures: only its main one is read", path, len(pictures))
    return _toned_down(pictures)


def _toned_down(picture: Any) -> Image:
    """A picture of libheif's as uint8, whatever its depth and range."""
    # A copy: what libheif lends lives no longer than the picture.
    values = np.array(picture)
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=2)
    values = np.ascontiguousarray(values[..., :3])
    transfer = picture.info.get("nclx_profile", {}).get("transfer_characteristics", 0)
    if is_hdr(transfer):
        values = values if values.dtype == np.uint16 else values * np.uint16(257)
        frame = av.VideoFrame.from_ndarray(values, format="rgb48le")
        return ToneMapper(transfer)(frame).to_ndarray()  # type: ignore[return-value]
    return values if values.dtype == np.uint8 else (values >> 8).astype(np.uint8)
