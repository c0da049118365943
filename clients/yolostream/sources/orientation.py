"""How a picture is to be shown: which way up, and with which proportions."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.sidedata.sidedata import SideData, SideDataContainer

from yolostream.image import Image

MAX_PIXEL_ASPECT = 4
"""Pixels wider than this times their height, or higher, are a mistake: no format has them."""


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways in which a picture may have been stored."""

    is_mirrored: bool = False
    """Left and right are swapped first."""
    turns: int = 0
    """Quarter turns counterclockwise then, 0 to 3."""

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of a picture of this height and width once it is upright, or before."""
        return size[::-1] if self.turns % 2 else size

    def upright(self, image: Image) -> Image:
        """The picture (uint8 [H, W, 3]) as it is to be shown."""
        if self == UPRIGHT:
            return image
        return np.ascontiguousarray(
            np.rot90(image[:, ::-1] if self.is_mirrored else image, self.turns)
        )


UPRIGHT = Orientation()


def orientation_of(frame: av.VideoFrame) -> Orientation | None:
    """How a display matrix, of the container or of the stream itself, wants a frame to be shown.

    Returns:
        None where there is none.
    """
    try:
        # Not `frame.side_data`: the frame would refer to what refers to it, and a picture of a few
        # megabytes would stay until Python looks for such circles, hundreds of frames later.
        matrix = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]  # its stub
    except ValueError:
        # PyAV gives none where one of them is of a kind that it does not know, as EXIF is.
        turns = round(frame.rotation / 90) % 4
        return Orientation(turns=turns) if turns else None
    return orientation_in(bytes(matrix)) if isinstance(matrix, SideData) else None


def orientation_in(matrix: bytes) -> Orientation:
    """What a display matrix says; the nearest quarter turn where it is none.

    Args:
        matrix: nine int32 by rows, as FFmpeg keeps the matrix of ISO/IEC 14496-12, 8.3.2: its first
            two rows say where the axes to the right and down go.
    """
    right_x, right_y, _, down_x, down_y = struct.unpack_from("=5i", matrix)
    is_mirrored = right_x * down_y < right_y * down_x
    if is_mirrored:
        right_x, right_y = -right_x, -right_y
    return Orientation(is_mirrored, round(math.atan2(-right_y, right_x) / (math.pi / 2)) % 4)


def with_square_pixels(size: tuple[int, int], pixel_aspect: Fraction | None) -> tuple[int, int]:
    """Height and width at which a stored picture has its proportions; no side gets shorter.

    Args:
        size: height and width as stored.
        pixel_aspect: width of a pixel over its height, as the video tells it; None, 0 and what
            nobody can mean count as square.
    """
    height, width = size
    if pixel_aspect in (None, 0, 1) or not 1 / MAX_PIXEL_ASPECT <= pixel_aspect <= MAX_PIXEL_ASPECT:
        return size
    if pixel_aspect < 1:
        return round(height / pixel_aspect), width
    return height, round(width * pixel_aspect)
