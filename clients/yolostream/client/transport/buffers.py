"""Where a frame waits to be read by the server."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from tritonclient.grpc import InferInput

from yolostream.gpu_memory import on_host
from yolostream.image import AnyImage, Image

INPUT_NAME = "frames"


class Slot(Protocol):
    """Room for one frame on its way; reused as soon as the answer is there."""

    def write(self, frame: AnyImage, *, height: int, width: int) -> InferInput:
        """Put `frame` (uint8 [H, W, 3], RGB), resized to height x width, where the server reads.

        A frame that stays in GPU memory all the way is not resized.
        """

    def reset(self) -> None:
        """Start anew with the next frame: the server is not the one it was."""

    def close(self) -> None:
        """Give the memory back."""


class GrpcSlot:
    """The frame travels inside the message: works with any server."""

    def __init__(self) -> None:
        self._input = InferInput(INPUT_NAME, [1, 1, 1, 3], "UINT8")

    def write(self, frame: AnyImage, *, height: int, width: int) -> InferInput:
        """Put `frame` (uint8 [H, W, 3], RGB), resized to height x width, into the message."""
        frame = on_host(frame)
        if frame.shape[:2] != (height, width):
            frame = resize(frame, height=height, width=width)
        self._input.set_shape([1, height, width, 3])
        self._input.set_data_from_numpy(frame[np.newaxis])
        return self._input

    def reset(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""


class GrpcFallback:
    """A slot that goes by gRPC from the first frame on for which there is no memory.

    Args:
        slot: What is used until then.
    """

    def __init__(self, slot: Slot) -> None:
        self._slot = slot

    def write(self, frame: AnyImage, *, height: int, width: int) -> InferInput:
        """Put `frame` (uint8 [H, W, 3], RGB), resized to height x width, where there is room."""
        try:
            return self._slot.write(frame, height=height, width=width)
        except OSError:
            # /dev/shm or the GPU is full.
            self._slot.close()
            self._slot = GrpcSlot()
            return self._slot.write(frame, height=height, width=width)

    def reset(self) -> None:
        """Start anew with the next frame."""
        self._slot.reset()

    def close(self) -> None:
        """Give the memory back."""
        self._slot.close()


def resize(frame: Image, *, height: int, width: int, out: Image | None = None) -> Image:
    """Resize as the server's letterbox does, so that its pixels are the same either way."""
    return cv2.resize(  # type: ignore[return-value]  # OpenCV's stub widens the dtype
        frame, (width, height), dst=out, interpolation=cv2.INTER_LINEAR
    )
