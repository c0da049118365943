"""Orientation and pixel aspect ratio of pictures."""

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
"""Pixel aspect ratios above this, or below its inverse, are errors: no format has them."""


@dataclass(frozen=True)
class Orientation:
    """How a stored picture has to be turned to be upright: one of eight ways."""

    is_mirrored: bool = False
    """First, left and right are swapped."""
    turns: int = 0
    """Then the picture is turned by this many quarter turns counterclockwise, 0 to 3."""

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Convert (height, width) as stored to that of the upright picture, or the other way round.

        Both conversions are the same: a quarter turn swaps the sides.
        """
        return size[::-1] if self.turns % 2 else size

    def upright(self, image: Image) -> Image:
        """Turn a picture (uint8 [H, W, 3]) upright."""
        if self == UPRIGHT:
            return image
        return np.ascontiguousarray(
            np.rot90(image[:, ::-1] if self.is_mirrored else image, self.turns)
        )


UPRIGHT = Orientation()


def orientation_of(frame: av.VideoFrame) -> Orientation | None:
    """The orientation in a frame's display matrix, which comes from the container or the stream.

    Returns:
        None if the frame has no display matrix.
    """
    try:
        # Not `frame.side_data`, which makes a reference cycle: the frame's megabytes would not be
        # freed until the garbage collector runs, hundreds of frames later.
        matrix = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]  # its stub
    except ValueError:
        # PyAV gives no side data at all if it does not know the kind of one item, such as EXIF.
        turns = round(frame.rotation / 90) % 4
        return Orientation(turns=turns) if turns else None
    return orientation_in(bytes(matrix)) if isinstance(matrix, SideData) else None


def orientation_in(matrix: bytes) -> Orientation:
    """The orientation in a display matrix, rounded to the nearest quarter turn.

    Args:
        matrix: nine int32 in row-major order, FFmpeg's form of the matrix of ISO/IEC 14496-12,
            8.3.2. Its first two rows are the directions of the axes to the right and down.
    """
    right_x, right_y, _, down_x, down_y = struct.unpack_from("=5i", matrix)
    is_mirrored = right_x * down_y < right_y * down_x
    if is_mirrored:
        right_x, right_y = -right_x, -right_y
    return Orientation(is_mirrored, round(math.atan2(-right_y, right_x) / (math.pi / 2)) % 4)


def with_square_pixels(size: tuple[int, int], pixel_aspect: Fraction | None) -> tuple[int, int]:
    """Height and width of a picture after one side was stretched to make its pixels square.

    Args:
        size: height and width as stored.
        pixel_aspect: width of a pixel divided by its height, from the video. None, 0 and values
            beyond `MAX_PIXEL_ASPECT` count as square.
    """
    height, width = size
    if pixel_aspect in (None, 0, 1) or not 1 / MAX_PIXEL_ASPECT <= pixel_aspect <= MAX_PIXEL_ASPECT:
        return size
    if pixel_aspect < 1:
        return round(height / pixel_aspect), width
    return height, round(width * pixel_aspect)
