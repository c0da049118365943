"""Conversion of pictures to the encoder's format (I420) and size."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from yolostream.image import Image

Planes = npt.NDArray[np.uint8]
"""uint8 [3/2 H, W]: a picture in I420, luma above the chroma planes; H and W are even."""


def fitted(image: Image, height: int, width: int) -> Image:
    """Scale `image` (uint8 [H, W, 3]) into height x width, aspect kept, with black borders."""
    if image.shape[:2] == (height, width):
        return image
    ratio = min(height / image.shape[0], width / image.shape[1])
    inner = max(1, round(image.shape[1] * ratio)), max(1, round(image.shape[0] * ratio))
    scaled = _scaled(image, *inner)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    right, bottom = width - inner[0] - left, height - inner[1] - top
    return _bordered(scaled, (top, bottom, left, right), cv2.BORDER_CONSTANT)


def _scaled(image: Image, width: int, height: int) -> Image:
    # Halve repeatedly, then interpolate: much faster than averaging areas, and as smooth.
    while image.shape[1] >= 2 * width and image.shape[0] >= 2 * height:
        half = image.shape[1] // 2, image.shape[0] // 2
        image = cv2.resize(image, half, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]  # OpenCV's stub widens the dtype
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def _made_even(image: Image) -> Image:
    return _bordered(image, (0, image.shape[0] % 2, 0, image.shape[1] % 2), cv2.BORDER_REPLICATE)


def _bordered(image: Image, sizes: tuple[int, int, int, int], kind: int) -> Image:
    """Add borders of `sizes` (top, bottom, left, right) pixels; return the image itself if none."""
    if not any(sizes):
        return image
    return cv2.copyMakeBorder(image, *sizes, kind)  # type: ignore[return-value]  # OpenCV's stub widens the dtype


def planes_of(image: Image) -> Planes:
    """Convert a picture (uint8 [H, W, 3], RGB) to I420; an odd side gets one more pixel."""
    # By OpenCV, which is several times as fast as FFmpeg's scaler.
    return cv2.cvtColor(_made_even(image), cv2.COLOR_RGB2YUV_I420)  # type: ignore[return-value]  # OpenCV's stub widens the dtype


def plane_views(planes: Planes) -> tuple[Planes, Planes, Planes]:
    """Views of the luma plane, uint8 [H, W], and the two chroma planes, uint8 [H/2, W/2]."""
    height, width = planes.shape[0] * 2 // 3, planes.shape[1]
    blue, red = planes[height:].reshape(2, height // 2, width // 2)
    return planes[:height], blue, red
