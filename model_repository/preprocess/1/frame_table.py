"""The table of frames that `letterbox.cu` reads."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from .digest import stride
from .letterbox import Letterbox, unrounded_content_rect

# `Frame` in letterbox.cu: pixels; height and width; left, top and fitted sizes; content_rect;
# samples of the digest.
_FRAME = struct.Struct("@Q 2i 4i 4f 2i")


class FrameTable:
    """Describes a batch of frames.

    Args:
        max_batch: Most frames of a batch.
        image_size: Height and width of the images to make.

    Attributes:
        batch: `Batch` in letterbox.cu, an array without dimensions.
    """

    def __init__(self, max_batch: int, image_size: tuple[int, int]) -> None:
        self._image_size = image_size
        self._bytes = bytearray(max_batch * _FRAME.size)
        self.batch = np.frombuffer(self._bytes, f"V{len(self._bytes)}").reshape(())

    def fill(self, addresses: Sequence[int], frame_sizes: Sequence[tuple[int, int]]) -> None:
        """Describe frames, from the first row on.

        Args:
            addresses: Of the first byte of each frame, in memory that the kernel can read.
            frame_sizes: Height and width of each frame, in pixels.
        """
        for index, (address, size) in enumerate(zip(addresses, frame_sizes, strict=True)):
            described = _described(size, self._image_size)
            _FRAME.pack_into(self._bytes, index * _FRAME.size, address, *described)


@lru_cache(maxsize=256)
def _described(frame_size: tuple[int, int], image_size: tuple[int, int]) -> tuple[float, ...]:
    (frame_height, frame_width), (height, width) = frame_size, image_size
    sides = {
        "frame_height": frame_height,
        "frame_width": frame_width,
        "height": height,
        "width": width,
    }
    fitted = Letterbox.fit(**sides)
    content_rect = unrounded_content_rect(**sides).tolist()
    place = (fitted.left, fitted.top, fitted.width, fitted.height)
    apart = stride(*frame_size)
    return *frame_size, *place, *content_rect, apart, -(-3 * frame_height * frame_width // apart)
