"""Buffers that the server reads the frames of a request from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
from tritonclient.utils import InferenceServerException

from yolostream.client.digest import digests
from yolostream.client.transport.message import Message, pixels_in, request, with_pixels
from yolostream.client.triton_errors import is_about_the_connection
from yolostream.gpu_memory import on_host
from yolostream.image import AnyImage, Image

_log = logging.getLogger(__name__)

_INTERPOLATION = cv2.INTER_LINEAR
"""As in the server's letterbox, so that client and server downscale to the same pixels."""


class InputBuffer(Protocol):
    """Memory for the frames of one request; reused once the answer has arrived."""

    def write(self, frames: Sequence[AnyImage], *, height: int, width: int) -> Message:
        """Write the frames into the buffer as one tensor.

        Args:
            frames: uint8 [H, W, 3] each, RGB, all in host memory or all in GPU memory.
            height: height in pixels; frames of another size are resized to it. Frames that stay in
                GPU memory are not resized, and must have equal sizes.
            width: width in pixels; otherwise as `height`.

        Returns:
            The request that refers to the buffer.
        """

    def sent(self, request: bytes, shape: tuple[int, int, int, int]) -> Sequence[Image]:
        """The frames of the last `write`. They are valid until the next `write`.

        Args:
            request: the request that `write` returned in its message.
            shape: number of frames, height, width, 3.

        Returns:
            uint8 [H, W, 3] each, RGB; empty if the frames are in GPU memory.
        """

    def reserve(self, frames: int, *, height: int, width: int) -> None:
        """Allocate the memory for so many frames of this size in advance."""

    def reset(self) -> None:
        """Register new memory with the next request, because the server was restarted."""

    def close(self, *, timeout_s: float | None = None) -> None:
        """Free the memory.

        Args:
            timeout_s: timeout in seconds for unregistering it; None for the buffer's own timeout.
        """


class GrpcBuffer:
    """Sends frames inside the gRPC message, which works with any server.

    Args:
        model: name of the ensemble.
    """

    def __init__(self, model: str) -> None:
        self._model = model

    def write(self, frames: Sequence[AnyImage], *, height: int, width: int) -> Message:
        """Put the frames, resized to height x width, into the message."""
        resized = [resize(on_host(frame), height=height, width=width) for frame in frames]
        empty = request(self._model, (len(frames), height, width, 3))
        return Message(with_pixels(empty, resized), digests(resized))

    def sent(self, request: bytes, shape: tuple[int, int, int, int]) -> Sequence[Image]:
        """The pixels in the message."""
        return list(pixels_in(request, shape))

    def reserve(self, frames: int, *, height: int, width: int) -> None:
        """Do nothing, because each message has memory of its own."""

    def reset(self) -> None:
        """Do nothing, because no memory is registered."""

    def close(self, *, timeout_s: float | None = None) -> None:
        """Do nothing, because no memory is registered."""


class GrpcFallback:
    """A buffer that switches to gRPC messages for good if shared memory fails.

    Shared memory fails if /dev/shm or the GPU's memory is full. It also fails if a restarted server
    has another /dev/shm, because it runs on another host or in a new container.

    Args:
        buffer: the buffer in shared memory.
        model: name of the ensemble.
    """

    def __init__(self, buffer: InputBuffer, model: str) -> None:
        self._buffer = buffer
        self._model = model

    def write(self, frames: Sequence[AnyImage], *, height: int, width: int) -> Message:
        """Write the frames, resized to height x width, into the buffer or else into a message."""
        try:
            return self._buffer.write(frames, height=height, width=width)
        except (OSError, InferenceServerException) as error:
            self._fall_back(error)
            return self._buffer.write(frames, height=height, width=width)

    def sent(self, request: bytes, shape: tuple[int, int, int, int]) -> Sequence[Image]:
        """The frames in the current buffer."""
        return self._buffer.sent(request, shape)

    def reserve(self, frames: int, *, height: int, width: int) -> None:
        """Allocate the memory for so many frames in advance, or switch to gRPC messages."""
        try:
            self._buffer.reserve(frames, height=height, width=width)
        except (OSError, InferenceServerException) as error:
            self._fall_back(error)

    def _fall_back(self, error: OSError | InferenceServerException) -> None:
        if isinstance(error, InferenceServerException) and is_about_the_connection(error):
            raise error
        _log.warning("shared memory failed, so frames are sent in gRPC messages: %s", error)
        self._buffer.close()
        self._buffer = GrpcBuffer(self._model)

    def reset(self) -> None:
        """Register new memory with the next request."""
        self._buffer.reset()

    def close(self, *, timeout_s: float | None = None) -> None:
        """Free the memory."""
        self._buffer.close(timeout_s=timeout_s)


def resize(frame: Image, *, height: int, width: int) -> Image:
    """Resize a frame, uint8 [H, W, 3]; returns the same array if it has that size already."""
    if frame.shape[:2] == (height, width):
        return frame
    return cv2.resize(  # type: ignore[return-value]  # OpenCV's stub widens the dtype
        frame, (width, height), interpolation=_INTERPOLATION
    )


def resize_into(target: Image, frame: Image) -> None:
    """Resize a frame, uint8 [H, W, 3], into `target`, uint8 [height, width, 3], C-contiguous."""
    height, width, _ = target.shape
    if frame.shape == target.shape:
        np.copyto(target, frame)
    else:
        cv2.resize(frame, (width, height), dst=target, interpolation=_INTERPOLATION)
