"""Pictures in HEIF, a container of boxes like MP4: AVIF and HEIC."""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Iterable
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from yolostream.image import Image
from yolostream.sources.hdr import ToneMapper, is_hdr

_AVIF_BRANDS, _HEIC_BRANDS = (b"avif", b"avis"), (b"heic", b"heix", b"mif1")

_log = logging.getLogger(__name__)


def brands_in(data: bytes) -> bytes:
    """The brands in the `ftyp` box at a file's start; empty if the file has no such box."""
    return data[8 : int.from_bytes(data[:4])] if data[4:8] == b"ftyp" else b""


def begins_as_heif(data: bytes) -> bool:
    """Whether a file is an AVIF or HEIC picture, by its first bytes; a video is not."""
    return _has_any(data, (*_AVIF_BRANDS, *_HEIC_BRANDS))


def read_heif(data: bytes, name: str) -> Image:
    """The main picture of a file: uint8 [H, W, 3], RGB, upright.

    Args:
        data: all bytes of the file.
        name: the file's name, for the log.

    Raises:
        Exception: the error of Pillow or libheif.
    """
    return _read_avif(data) if _is_avif(data) else _read_heic(data, name)


def heif_size(data: bytes) -> tuple[int, int]:
    """Width and height according to the file's header; nothing is decoded.

    Raises:
        Exception: the error of Pillow or libheif.
    """
    if _is_avif(data):
        from PIL import Image as Pillow

        with Pillow.open(io.BytesIO(data), "r", ("AVIF",)) as avif:
            return avif.size
    import pi_heif

    return pi_heif.open_heif(data).size  # type: ignore[no-any-return]  # it has no types


def _is_avif(data: bytes) -> bool:
    return _has_any(data, _AVIF_BRANDS)


def _has_any(data: bytes, brands: Iterable[bytes]) -> bool:
    said = brands_in(data)
    return any(brand in said for brand in brands)


def _read_avif(data: bytes) -> Image:
    """Read an AVIF by Pillow: OpenCV ignores its orientation."""
    from PIL import Image as Pillow
    from PIL import ImageOps

    with Pillow.open(io.BytesIO(data)) as avif:
        values = np.array(ImageOps.exif_transpose(avif).convert("RGB"))
    # Pillow does not give the transfer function. It follows the primaries in the box `colr`.
    place = data.find(b"colrnclx")
    transfer = struct.unpack_from(">HH", data, place + 8)[1] if place >= 0 else 0
    return _usual(values, transfer)


def _read_heic(data: bytes, name: str) -> Image:
    """Read a HEIC by libheif, which joins its tiles and applies its orientation."""
    import pi_heif

    pictures = pi_heif.open_heif(data, convert_hdr_to_8bit=False)
    if len(pictures) > 1:
        _log.warning("%s holds %d pictures: only its main one is read", name, len(pictures))
    # A copy, because libheif frees its buffer with the picture.
    values = np.array(pictures)
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=2)
    transfer = pictures.info.get("nclx_profile", {}).get("transfer_characteristics", 0)
    return _usual(np.ascontiguousarray(values[..., :3]), transfer)


def _usual(values: npt.NDArray[Any], transfer: int) -> Image:
    """Convert a picture (uint8 or uint16 [H, W, 3]) to uint8 in standard dynamic range."""
    if is_hdr(transfer):
        deep = values if values.dtype == np.uint16 else values * np.uint16(257)
        frame = av.VideoFrame.from_ndarray(deep, format="rgb48le")
        return ToneMapper(transfer)(frame).to_ndarray()  # type: ignore[return-value]
    return values if values.dtype == np.uint8 else (values >> 8).astype(np.uint8)
