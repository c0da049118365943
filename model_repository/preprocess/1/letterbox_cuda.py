"""Letterboxes a batch of frames on a GPU, with one kernel launch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import cupy as cp
import numpy as np
import numpy.typing as npt

from .frame_table import FrameTable
from .host_pages import HostPages
from .letterbox import FILL

Frames: TypeAlias = npt.NDArray[np.uint8] | cp.ndarray
_BLOCK = (32, 8)
_ALIGNMENT = 256
"""CUDA's allocations begin at multiples of so many bytes."""


class CudaLetterbox:
    """Computes the same as `letterbox.letterbox_all`, for frames in host or device memory.

    The pixels are equal to those of the CPU stage. It uses the current device.

    Args:
        image_shape: 3, height and width of the output images.
        max_batch: Largest number of frames in one call.
    """

    def __init__(self, image_shape: tuple[int, int, int], *, max_batch: int) -> None:
        _, height, width = image_shape
        self._blocks = -(-width // _BLOCK[0]), -(-height // _BLOCK[1])
        fill = np.float32(FILL) / np.float32(255)
        self._constants = np.int32(height), np.int32(width), fill
        self._table = FrameTable(max_batch, (height, width))
        self._images = cp.empty((max_batch, *image_shape), np.float32)
        self._letterboxes = cp.empty((max_batch, 6), np.float32)
        source = Path(__file__).with_name("letterbox.cu").read_text()
        # Fused multiply-adds would round once, but the CPU rounds twice.
        options = (f"-DMAX_BATCH={max_batch}", "--fmad=false")
        self._kernel = cp.RawModule(code=source, options=options).get_function("letterbox")
        self._arrived = cp.empty(0, np.uint8)
        self._host_pages = HostPages()

    def __call__(self, batches: Sequence[Frames]) -> tuple[cp.ndarray, cp.ndarray]:
        """Letterbox the frames of several requests on the current stream, without waiting.

        Args:
            batches: uint8 [n, H, W, 3] per request, RGB, C-contiguous; in NumPy arrays, or in CuPy
                arrays on this device.

        Returns:
            The images, float32 [n, 3, height, width], RGB, 0..1; and float32 [n, 6]: left, top,
            width and height of each frame in its image, in pixels, and its digest. The next call
            overwrites both.
        """
        count = sum(map(len, batches))
        addresses = [
            start + index * (frames.nbytes // len(frames))
            for frames, start in zip(batches, self._on_device(batches), strict=True)
            for index in range(len(frames))
        ]
        sizes = [frames.shape[1:3] for frames in batches for _ in range(len(frames))]
        self._table.fill(addresses, sizes)
        arguments = (self._table.batch, self._images, self._letterboxes, *self._constants)
        self._kernel((*self._blocks, count), _BLOCK, arguments)
        return self._images[:count], self._letterboxes[:count]

    def _on_device(self, batches: Sequence[Frames]) -> list[int]:
        """Addresses of the batches in device memory. Those in host memory are copied there."""
        self._make_room(sum(_room(b) for b in batches if isinstance(b, np.ndarray)))
        addresses, free = [], self._arrived.data
        for frames in batches:
            if isinstance(frames, np.ndarray):
                start = int(frames.__array_interface__["data"][0])
                self._host_pages.lock(start)
                # Source and target get the same misalignment, so that whole words are copied.
                target = free + start % _ALIGNMENT
                target.copy_from_host_async(start, frames.nbytes)
                addresses.append(target.ptr)
                free = free + _room(frames)
            else:
                addresses.append(frames.data.ptr)
        return addresses

    def _make_room(self, size: int) -> None:
        if self._arrived.nbytes < size:
            # The old buffer is freed first, because CuPy's pool would keep it.
            self._arrived = cp.empty(0, np.uint8)
            cp.get_default_memory_pool().free_all_blocks()
            self._arrived = cp.empty(size, np.uint8)


def _room(frames: npt.NDArray[np.uint8]) -> int:
    return (-(-frames.nbytes // _ALIGNMENT) + 1) * _ALIGNMENT
