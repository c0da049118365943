"""Where a frame waits to be read by the server: inside the gRPC message, or in shared memory."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import cv2
import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from yolostream.gpu_memory import on_host
from yolostream.image import AnyImage, Image

INPUT_NAME = "frames"

_SHARED_MEMORY = Path("/dev/shm")
_REGION_PREFIX = "yolostream-frames-"


class Slot(Protocol):
    """Room for one frame on its way; reused as soon as the answer is there."""

    def write(self, frame: AnyImage, *, height: int, width: int) -> InferInput:
        """Put `frame` (uint8 [H, W, 3], RGB), resized to height x width, where the server reads.

        A frame that stays in GPU memory all the way is not resized.
        """

    def forget(self) -> None:
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

    def forget(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""


class SharedMemorySlot:
    """The frame stays in this machine's memory: one region, registered once, reused."""

    def __init__(self, client: InferenceServerClient, *, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._input = InferInput(INPUT_NAME, [1, 1, 1, 3], "UINT8")
        self._region: _Region | None = None

    def write(self, frame: AnyImage, *, height: int, width: int) -> InferInput:
        """Put `frame` (uint8 [H, W, 3], RGB), resized to height x width, into the region.

        Raises:
            OSError: /dev/shm is full.
            InferenceServerException: the server does not share this machine's memory.
        """
        frame = on_host(frame)
        size = height * width * 3
        region = self._region_of(size)
        target = np.frombuffer(region.memory, np.uint8, size).reshape(height, width, 3)
        if frame.shape[:2] == (height, width):
            np.copyto(target, frame)
        else:
            resize(frame, height=height, width=width, out=target)
        self._input.set_shape([1, height, width, 3])
        self._input.set_shared_memory(region.path.name, size)
        return self._input

    def forget(self) -> None:
        """Remove the region, of which the server knows nothing any more."""
        if self._region is not None:
            self._region.close()
            self._region = None

    def close(self) -> None:
        """Unregister and remove the region."""
        if self._region is not None:
            # A server that is gone has forgotten the region already.
            with contextlib.suppress(InferenceServerException):
                self._client.unregister_system_shared_memory(
                    self._region.path.name, client_timeout=self._timeout_s
                )
            self.forget()

    def _region_of(self, size: int) -> _Region:
        """The region, replaced by a larger one where a frame needs it."""
        if self._region is None or self._region.size < size:
            self.close()
            region = _Region(size)
            try:
                self._client.register_system_shared_memory(
                    region.path.name,
                    f"/{region.path.name}",
                    size,
                    client_timeout=self._timeout_s,
                )
            except BaseException:
                region.close()
                raise
            self._region = region
        return self._region


class _Region:
    """A file in /dev/shm that its owner holds locked, so that others can tell a leftover."""

    def __init__(self, size: int) -> None:
        self.size = size
        name = f"{_REGION_PREFIX}{uuid4().hex}"
        # Under another name until it is locked: others take what is not locked for a leftover.
        self.path = _SHARED_MEMORY / f".{name}"
        self._file = self.path.open("xb+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self.path = self.path.rename(_SHARED_MEMORY / name)
            # Taken now: a full /dev/shm would otherwise end the process at the first write.
            os.posix_fallocate(self._file.fileno(), 0, size)
            self.memory = mmap.mmap(self._file.fileno(), size)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        self.path.unlink(missing_ok=True)
        self._file.close()


def remove_leftovers() -> None:
    """Remove the regions of clients that were killed before they could."""
    for path in _SHARED_MEMORY.glob(f"{_REGION_PREFIX}*"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def resize(frame: Image, *, height: int, width: int, out: Image | None = None) -> Image:
    """Resize as the server's letterbox does, so that its pixels are the same either way."""
    return cv2.resize(  # type: ignore[return-value]  # OpenCV's stub widens the dtype
        frame, (width, height), dst=out, interpolation=cv2.INTER_LINEAR
    )
