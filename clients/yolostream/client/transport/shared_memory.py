"""Where a frame waits in this machine's memory, which the server reads without a message."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
from pathlib import Path
from uuid import uuid4

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput

from yolostream.client.transport.buffers import resize
from yolostream.client.transport.registered import RegisteredSlot
from yolostream.gpu_memory import on_host
from yolostream.image import AnyImage

_SHARED_MEMORY = Path("/dev/shm")
_REGION_PREFIX = "yolostream-frames-"


class SharedMemorySlot(RegisteredSlot["_Region"]):
    """The frame stays in this machine's memory."""

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
        return self._filled(region.name, height=height, width=width)

    def _region_of(self, size: int) -> _Region:
        """The region, replaced by a larger one where a frame needs it."""
        if self._region is None or self._region.size < size:
            self.close()
            return self._registered(_Region(size))
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

    @property
    def name(self) -> str:
        """Of the file."""
        return self.path.name

    def register(self, client: InferenceServerClient, *, timeout_s: float) -> None:
        """Tell the server of it."""
        client.register_system_shared_memory(
            self.name, f"/{self.name}", self.size, client_timeout=timeout_s
        )

    def unregister(self, client: InferenceServerClient, *, timeout_s: float) -> None:
        """Let the server forget it."""
        client.unregister_system_shared_memory(self.name, client_timeout=timeout_s)

    def close(self) -> None:
        """Remove it."""
        self.path.unlink(missing_ok=True)
        self._file.close()


def remove_leftovers() -> None:
    """Remove the regions of clients that were killed before they could."""
    for path in _SHARED_MEMORY.glob(f"{_REGION_PREFIX}*"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
