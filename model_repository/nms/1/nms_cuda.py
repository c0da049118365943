"""Non-maximum suppression of a batch of frames on a GPU, with two kernel launches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import cupy as cp
import numpy as np

from .nms import Detections, Floats, Thresholds

_THREADS = 512
_CHUNK = 1024
"""Candidates of a frame that are sorted at once."""
MOST_DETECTIONS = 512
"""Largest number of detections per frame. They have to fit into a block's shared memory, together
with the candidates."""
_COLLECTING = 256
_ROW = 6


class CudaNms:
    """Computes the same rows as `nms.detect`, for tensors in device memory.

    Args:
        thresholds: The thresholds, and the largest number of detections.
        max_batch: Largest number of frames in one call.

    Raises:
        ValueError: `thresholds.max_detections` is above `MOST_DETECTIONS`.
    """

    def __init__(self, thresholds: Thresholds, *, max_batch: int) -> None:
        if thresholds.max_detections > MOST_DETECTIONS:
            raise ValueError(
                f"max_detections is {thresholds.max_detections}, but a GPU allows at most "
                f"{MOST_DETECTIONS} per frame: lower it, or serve the profile 'cpu'"
            )
        # `Batch` in nms.cu, and its parts.
        parts = ("predictions", "letterboxes")
        self._batch = np.zeros((), np.dtype([(name, np.uint64, max_batch) for name in parts]))
        self._predictions, self._letterboxes = (self._batch[name] for name in parts)
        # `Thresholds` in nms.cu.
        self._thresholds = np.array(astuple(thresholds), "f4, f4, i4, i4")
        module = _compiled(max_batch=max_batch, max_detections=thresholds.max_detections)
        self._collect, self._suppress = map(module.get_function, ("collect", "suppress"))
        self._keys = cp.empty(0, np.uint64)
        self._counts = cp.zeros(max_batch, np.int32)
        # The kernel writes to pinned host memory, so the results need no copy from the GPU.
        max_detections = thresholds.max_detections
        shapes = (1,), (max_detections, 4), (max_detections,), (max_detections,), (2,)
        self._found = [_writable_from_gpu((max_batch, *shape)) for shape in shapes]
        self._outputs = [array.ctypes.data for array in self._found]
        # The counts are zeroed on the default stream, and the kernels use another one.
        cp.cuda.Device().synchronize()

    def __call__(
        self, predictions: Sequence[cp.ndarray], letterboxes: Sequence[cp.ndarray]
    ) -> Detections:
        """Find the detections of each frame on the current stream, without waiting for the result.

        Args:
            predictions: float32 [n, rows, 6] per request: `output` of the network. `rows` is equal
                in all of them.
            letterboxes: float32 [n, 6] per request: `letterbox` of preprocess.

        Returns:
            The detections of the frames of all requests, in order. They are in host memory that the
            next call overwrites.
        """
        count, rows = sum(map(len, predictions)), predictions[0].shape[1]
        self._predictions[:count] = _starts(predictions, rows * _ROW)
        self._letterboxes[:count] = _starts(letterboxes, 6)
        if self._keys.size < rows * len(self._counts):
            self._keys = cp.empty(rows * len(self._counts), np.uint64)
        shared = (self._batch, self._thresholds, np.int32(rows), self._keys, self._counts)
        self._collect((-(-rows // _COLLECTING), count), (_COLLECTING,), shared)
        self._suppress((count,), (_THREADS,), (*shared, *self._outputs))
        return Detections(*(array[:count] for array in self._found))


def _compiled(*, max_batch: int, max_detections: int) -> cp.RawModule:
    macros = {
        "MAX_BATCH": max_batch,
        "THREADS": _THREADS,
        "CHUNK": _CHUNK,
        "MAX_DETECTIONS": max_detections,
    }
    return cp.RawModule(
        code=Path(__file__).with_name("nms.cu").read_text(),
        # Fused multiply-adds would round once, but the CPU rounds twice.
        options=("--fmad=false", *(f"-D{name}={value}" for name, value in macros.items())),
    )


def _writable_from_gpu(shape: tuple[int, ...]) -> Floats:
    size = math.prod(shape)
    memory = cp.cuda.alloc_pinned_memory(size * np.dtype(np.float32).itemsize)
    return np.frombuffer(memory, np.float32, size).reshape(shape)


def _starts(batches: Sequence[cp.ndarray], values: int) -> list[int]:
    """Addresses of the frames' tensors, which have `values` float32 each."""
    return [batch.data.ptr + 4 * values * index for batch in batches for index in range(len(batch))]
