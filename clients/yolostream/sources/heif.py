"""HEIF, whose pictures lie in boxes as videos do in MP4: AVIF and HEIC."""

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
    """What a file of ISO's boxes says that it is, by its first bytes; empty for others."""
    return data[8 : int.from_bytes(data[:4])] if data[4:8] == b"ftyp" else b""


def begins_as_heif(data: bytes) -> bool:
    """Whether a file is a picture and no video, by its first bytes."""
    return _has_any(data, (*_AVIF_BRANDS, *_HEIC_BRANDS))


def read_heif(data: bytes, name: str) -> Image:
    """The picture in the bytes of a file: uint8 [H, W, 3], RGB, upright.

    Args:
        data: all of them.
        name: of the file, for the log.

    Raises:
        Exception: what Pillow or libheif says is wrong.
    """
    return _read_avif(data) if _is_avif(data) else _read_heic(data, name)


def heif_size(data: bytes) -> tuple[int, int]:
    """Width and height that the head of a file tells; nothing is decoded.

    Raises:
        Exception: what Pillow or libheif says is wrong.
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
    """AVIF, which OpenCV takes as it is stored and not as it is to be shown."""
    from PIL import Image as Pillow
    from PIL import ImageOps

    with Pillow.open(io.BytesIO(data)) as avif:
        values = np.array(ImageOps.exif_transpose(avif).convert("RGB"))
    # Pillow does not tell. Behind the box's name are the primaries, then the transfer.
    place = data.find(b"colrnclx")
    transfer = struct.unpack_from(">HH", data, place + 8)[1] if place >= 0 else 0
    return _usual(values, transfer)


def _read_heic(data: bytes, name: str) -> Image:
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
