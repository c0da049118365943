"""Images in I420 (YUV 4:2:0, with the three planes one after the other in memory)."""

from __future__ import annotations

import av
import numpy as np
import numpy.typing as npt


def frame_of(planes: npt.NDArray[np.uint8]) -> av.VideoFrame:
    """Make a PyAV frame of `planes`, which must not change while the frame is used.

    Args:
        planes: uint8 [3/2 H, W], luma above chroma; H and W are even.
    """
    # `from_numpy_buffer` is wrong if the height is no multiple of 4 or the width is 2. Then the
    # planes are copied.
    rows, width = planes.shape
    if rows % 6 or width == 2:
        return av.VideoFrame.from_ndarray(planes, format="yuv420p")
    return av.VideoFrame.from_numpy_buffer(planes, format="yuv420p")
