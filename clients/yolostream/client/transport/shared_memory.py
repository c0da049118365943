"""Sends frames through this machine's shared memory (/dev/shm)."""

from __future__ import annotations

import contextlib
import math
import mmap
import os
from collections.abc import Sequence

import numpy as np
from tritonclient.grpc import InferenceServerClient

from yolostream.client.digest import digests
from yolostream.client.transport.buffers import resize_into
from yolostream.client.transport.message import Message, request
from yolostream.client.transport.ownership import OwnedFile
from yolostream.client.transport.registered import RegisteredBuffer, region_bytes
from yolostream.gpu_memory import on_host
from yolostream.image import AnyImage, Image


class SharedMemoryBuffer(RegisteredBuffer["_Region"]):
    """A buffer in /dev/shm."""

    def write(self, frames: Sequence[AnyImage], *, height: int, width: int) -> Message:
        """Write the frames (uint8 [H, W, 3], RGB), resized to height x width, into the region.

        Raises:
            OSError: /dev/shm is full.
            InferenceServerException: the server cannot read this machine's shared memory.
        """
        shape = (len(frames), height, width, 3)
        region = self._region_for(len(frames), height * width * 3)
        targets = np.frombuffer(region.memory, np.uint8, math.prod(shape)).reshape(shape)
        for frame, target in zip(frames, targets, strict=True):
            resize_into(target, on_host(frame))
        return Message(request(self._model, shape, region=region.name), digests(targets))

    def sent(self, request: bytes, shape: tuple[int, int, int, int]) -> Sequence[Image]:
        """The frames in the region."""
        if self._region is None:
            return []
        return list(np.frombuffer(self._region.memory, np.uint8, math.prod(shape)).reshape(shape))

    def reserve(self, frames: int, *, height: int, width: int) -> None:
        """Register a region for so many frames in advance; see `write` for the errors."""
        self._region_for(frames, height * width * 3)

    def _region_for(self, frames: int, frame_bytes: int) -> _Region:
        """The region; a new one if the frames need a larger one."""
        if self._region is None or self._region.size < frames * frame_bytes:
            self.close()
            return self._registered(_Region(region_bytes(frames, frame_bytes)))
        return self._region


class _Region:
    """A file in /dev/shm."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._owned = OwnedFile()
        try:
            # Without this, the first write into a full /dev/shm would kill the process (SIGBUS).
            os.posix_fallocate(self._owned.file.fileno(), 0, size)
            self.memory = mmap.mmap(self._owned.file.fileno(), size)
        except OSError:
            self._owned.close()
            raise

    @property
    def name(self) -> str:
        """Name of the file, and of the region."""
        return self._owned.name

    def register(self, client: InferenceServerClient, *, timeout_s: float) -> None:
        """Register the region at the server."""
        client.register_system_shared_memory(
            self.name, f"/{self.name}", self.size, client_timeout=timeout_s
        )

    def unregister(self, client: InferenceServerClient, *, timeout_s: float) -> None:
        """Unregister the region at the server."""
        client.unregister_system_shared_memory(self.name, client_timeout=timeout_s)

    def close(self) -> None:
        """Remove the file and unmap the memory."""
        self._owned.close()
        # If arrays still refer to the memory, it is unmapped with the last of them.
        with contextlib.suppress(BufferError):
            self.memory.close()
