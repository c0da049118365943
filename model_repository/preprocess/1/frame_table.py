"""What `letterbox.cu` is told of each frame."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from .letterbox import Letterbox, unrounded_place

# As `Frame` in letterbox.cu.
_FRAME = np.dtype(
    [
        ("pixels", np.uint64),
        *((name, np.int32) for name in ("height", "width")),
        *((name, np.int32) for name in ("left", "top", "fitted_width", "fitted_height")),
        ("place", np.float32, 4),
    ],
    align=True,
)


def table_of(max_batch: int) -> npt.NDArray[np.void]:
    """Room for that many frames: `Batch` in letterbox.cu, an array without dimensions."""
    return np.zeros((), np.dtype([("frames", _FRAME, max_batch)]))


def fill_table(
    table: npt.NDArray[np.void],
    *,
    addresses: Sequence[int],
    frame_sizes: Sequence[tuple[int, int]],
    image_size: tuple[int, int],
) -> None:
    """Describe frames, from the first place on.

    Args:
        table: From `table_of`.
        addresses: Of the first byte of each frame, in memory that the kernel can read.
        frame_sizes: Height and width of each frame, in pixels.
        image_size: Height and width of the images to make.
    """
    frames = table["frames"][: len(addresses)]
    frames[:] = [_frame(size, image_size) for size in frame_sizes]
    frames["pixels"] = addresses


@lru_cache(maxsize=256)
def _frame(frame_size: tuple[int, int], image_size: tuple[int, int]) -> tuple[object, ...]:
    (frame_height, frame_width), (height, width) = frame_size, image_size
    sides = {
        "frame_height": frame_height,
        "frame_width": frame_width,
        "height": height,
        "width": width,
    }
    fitted = Letterbox.fit(**sides)
    return (
        0,
        *frame_size,
        *(fitted.left, fitted.top, fitted.width, fitted.height),
        unrounded_place(**sides),
    )
