"""Pictures in I420, planes one after the other in memory, as FFmpeg takes them."""

from __future__ import annotations

import av
import numpy as np
import numpy.typing as npt


def frame_of(planes: npt.NDArray[np.uint8]) -> av.VideoFrame:
    """A frame of `planes`, which have to stay as they are for as long as it is used.

    Args:
        planes: uint8 [3/2 H, W], luma above chroma, both sides even.
    """
    # Where the memory is lent, PyAV takes the height for a multiple of four, and the chroma's rows
    # of one pixel for a single row. A copy has neither fault.
    rows, width = planes.shape
    if rows % 6 or width == 2:
        return av.VideoFrame.from_ndarray(planes, format="yuv420p")
    return av.VideoFrame.from_numpy_buffer(planes, format="yuv420p")
