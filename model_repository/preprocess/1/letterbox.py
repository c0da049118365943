"""Letterbox as in the official YOLOv7: resizes and pads a frame to the network's input size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

FILL = 114
"""Gray level of the padding, with which YOLOv7 was trained."""

MAX_SIDE = 8192
"""Largest accepted height or width of a frame, in pixels."""

Image = npt.NDArray[np.uint8]


class FrameError(ValueError):
    """A frame has a size that is not accepted; the message names its shape."""


@dataclass(frozen=True)
class Letterbox:
    """The position and size of a frame in the network's input, in whole pixels of that input."""

    left: int
    top: int
    width: int
    height: int

    @classmethod
    def fit(cls, *, frame_height: int, frame_width: int, height: int, width: int) -> Letterbox:
        """Fit a frame into height x width: centered, with its aspect ratio.

        An odd pixel of padding is added at the bottom or on the right.
        """
        ratio = min(height / frame_height, width / frame_width)
        # Sides of narrow frames, such as 8192x3, would be rounded to zero.
        fitted_height = max(1, round(frame_height * ratio))
        fitted_width = max(1, round(frame_width * ratio))
        return cls(
            left=round((width - fitted_width) / 2 - 0.1),
            top=round((height - fitted_height) / 2 - 0.1),
            width=fitted_width,
            height=fitted_height,
        )


def unrounded_content_rect(
    *, frame_height: int, frame_width: int, height: int, width: int
) -> npt.NDArray[np.float32]:
    """The position of a frame in an input of height x width, for mapping boxes back to the frame.

    Returns:
        float32 [4]: left, top, width and height in pixels of the input. They are not rounded to
        whole pixels, as in the official `scale_coords`.
    """
    gain = min(height / frame_height, width / frame_width)
    content_width, content_height = frame_width * gain, frame_height * gain
    return np.array(
        [(width - content_width) / 2, (height - content_height) / 2, content_width, content_height],
        dtype=np.float32,
    )


def check_frames(frames: npt.NDArray[np.uint8]) -> None:
    """Raise `FrameError` unless H and W are 1 to 8192 pixels.

    Args:
        frames: uint8 [n, H, W, 3]. Triton has checked the type and the number of dimensions.
    """
    _, height, width, _ = frames.shape
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        shape = list(frames.shape)
        raise FrameError(f"a frame's sides must be 1 to {MAX_SIDE} pixels, got {shape}")


def letterbox_all(
    frames: Sequence[Image], image_shape: tuple[int, int, int]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Letterbox n frames of any sizes; see `letterbox`.

    Args:
        frames: uint8 [H, W, 3] each, RGB.
        image_shape: 3, height and width of the network's input.

    Returns:
        The images, float32 [n, *image_shape], and the positions of the frames in them,
        float32 [n, 4].
    """
    images = np.empty((len(frames), *image_shape), dtype=np.float32)
    content_rects = np.empty((len(frames), 4), dtype=np.float32)
    for row, frame in enumerate(frames):
        content_rects[row] = letterbox(frame, images[row])
    return images, content_rects


def letterbox(frame: Image, out: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Letterbox a frame and scale it to 0..1.

    Args:
        frame: uint8 [H, W, 3], RGB.
        out: float32 [3, height, width], which is overwritten: RGB planes, 0..1, padded with
            `FILL`/255.

    Returns:
        float32 [4]: the position of the frame in `out`, see `unrounded_content_rect`.
    """
    frame_height, frame_width = frame.shape[:2]
    _, height, width = out.shape
    content_rect = Letterbox.fit(
        frame_height=frame_height, frame_width=frame_width, height=height, width=width
    )
    bottom, right = content_rect.top + content_rect.height, content_rect.left + content_rect.width
    if (content_rect.height, content_rect.width) != (frame_height, frame_width):
        frame = cv2.resize(  # type: ignore[assignment]  # OpenCV's stub widens the dtype
            frame, (content_rect.width, content_rect.height), interpolation=cv2.INTER_LINEAR
        )
    fill = np.float32(FILL) / np.float32(255)
    out[:, : content_rect.top] = out[:, bottom:] = fill
    out[:, content_rect.top : bottom, : content_rect.left] = out[
        :, content_rect.top : bottom, right:
    ] = fill
    # The planes are split first, because dividing contiguous bytes is three times as fast.
    for plane, target in zip(cv2.split(frame), out, strict=True):
        np.divide(
            plane, np.float32(255), out=target[content_rect.top : bottom, content_rect.left : right]
        )
    return unrounded_content_rect(
        frame_height=frame_height, frame_width=frame_width, height=height, width=width
    )
