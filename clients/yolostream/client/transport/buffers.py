"""Buffers for the frames of a request, from which the server reads them."""

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
"""As in the server's letterbox: pixels are the same, whoever downscales a frame."""


class InputBuffer(Protocol):
    """Memory for the frames of one request; reused once the answer has arrived."""

    def write(self, frames: Sequence[AnyImage], *, height: int, width: int) -> Message:
        """Put the frames where the server reads them, one behind the other.

        Args:
            frames: uint8 [H, W, 3] each, RGB, all in the host's memory or all in a GPU's.
            height: In pixels; frames of another size are resized to it. Only frames that stay in
                GPU memory are not resized; they must have one size already.
            width: As `height`.

        Returns:
            The request that refers to them.
        """

    def sent(self, request: bytes, shape: tuple[int, int, int, int]) -> Sequence[Image]:
        """The frames that were written last, uint8 [H, W, 3] each, until `write` is called again.

        Args:
            request: Of the message that `write` returned.
            shape: Number of frames, height, width, 3.

        Returns:
            No frames where they lie in a GPU's memory.
        """

    def reserve(self, frames: int, *, height: int, width: int) -> None:
        """Take the memory for so many frames of this size now, and not with the first of them."""

    def reset(self) -> None:
        """Set up everything again with the next request: the server has been restarted."""

    def close(self, *, timeout_s: float | None = None) -> None:
        """Give the memory back.

        Args:
            timeout_s: Seconds for telling the server; None for as many as anything else may take.
        """


class GrpcBuffer:
    """The frames travel inside the message: works with any server.

    Args:
        model: Name of the ensemble.
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
        """Messages take no memory beforehand."""

    def reset(self) -> None:
        """Nothing is held."""

    def close(self, *, timeout_s: float | None = None) -> None:
        """Nothing is held."""


class GrpcFallback:
    """A buffer that switches to gRPC for good when there is no memory that the server can read.

    That is where /dev/shm or the GPU is full, and where a server came back that has another
    /dev/shm: from another host, or in a container that was started anew.

    Args:
        buffer: Used until then.
        model: Name of the ensemble.
    """

    def __init__(self, buffer: InputBuffer, model: str) -> None:
        self._buffer = buffer
        self._model = model

    def write(self, frames: Sequence[AnyImage], *, height: int, width: int) -> Message:
        """Put the frames, resized to height x width, into the buffer, or else into a message."""
        try:
            return self._buffer.write(frames, height=height, width=width)
        except (OSError, InferenceServerException) as error:
            self._fall_back(error)
            return self._buffer.write(frames, height=height, width=width)

    def sent(self, request: bytes, shape: tuple[int, int, int, int]) -> Sequence[Image]:
        """Those of the buffer in use."""
        return self._buffer.sent(request, shape)

    def reserve(self, frames: int, *, height: int, width: int) -> None:
        """Take the memory for so many frames now, if there is so much."""
        try:
            self._buffer.reserve(frames, height=height, width=width)
        except (OSError, InferenceServerException) as error:
            self._fall_back(error)

    def _fall_back(self, error: OSError | InferenceServerException) -> None:
        if isinstance(error, InferenceServerException) and is_about_the_connection(error):
            raise error
        _log.warning("frames travel inside of messages from now on: %s", error)
        self._buffer.close()
        self._buffer = GrpcBuffer(self._model)

    def reset(self) -> None:
        """Set up everything again with the next request."""
        self._buffer.reset()

    def close(self, *, timeout_s: float | None = None) -> None:
        """Give the memory back."""
        self._buffer.close(timeout_s=timeout_s)


def resize(frame: Image, *, height: int, width: int) -> Image:
    """The frame in this size; the same array if it has that size already."""
    if frame.shape[:2] == (height, width):
        return frame
    return cv2.resize(  # type: ignore[return-value]  # OpenCV's stub widens the dtype
        frame, (width, height), interpolation=_INTERPOLATION
    )


def resize_into(target: Image, frame: Image) -> None:
    """Resize the frame into `target`, uint8 [height, width, 3], contiguous."""
    height, width, _ = target.shape
    if frame.shape == target.shape:
        np.copyto(target, frame)
    else:
        cv2.resize(frame, (width, height), dst=target, interpolation=_INTERPOLATION)
