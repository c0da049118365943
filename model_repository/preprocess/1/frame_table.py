"""The table of frames that is passed to `letterbox.cu`."""

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
    """Describes a batch of frames for the kernel.

    Args:
        max_batch: Largest number of frames.
        image_size: Height and width of the output images.

    Attributes:
        batch: `Batch` in letterbox.cu, as an array without dimensions.
    """

    def __init__(self, max_batch: int, image_size: tuple[int, int]) -> None:
        self._image_size = image_size
        self._bytes = bytearray(max_batch * _FRAME.size)
        self.batch = np.frombuffer(self._bytes, f"V{len(self._bytes)}").reshape(())

    def fill(self, addresses: Sequence[int], frame_sizes: Sequence[tuple[int, int]]) -> None:
        """Write the descriptions of frames into the table, from its first row on.

        Args:
            addresses: Address of the first byte of each frame, in memory that the kernel can read.
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
    position = (fitted.left, fitted.top, fitted.width, fitted.height)
    step = stride(*frame_size)
    return *frame_size, *position, *content_rect, step, -(-3 * frame_height * frame_width // step)
