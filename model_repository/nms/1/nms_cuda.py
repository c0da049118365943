"""Non-maximum suppression of a whole batch of frames on a GPU, in two launches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cupy as cp
import numpy as np

from .nms import Detections, Thresholds

_THREADS = 512
_CHUNK = 1024
"""Candidates of a frame that are ranked at once."""
MOST_DETECTIONS = 512
"""Of a frame: they lie in the shared memory of a block, beside the candidates."""
_COLLECTING = 256
_ROW = 6


class CudaNms:
    """Computes what `nms.detect` does, row for row, for tensors in device memory.

    Args:
        thresholds: What counts, and how many places a frame has.
        max_batch: Most frames of one call.

    Raises:
        ValueError: A frame has more places than `MOST_DETECTIONS`.
    """

    def __init__(self, thresholds: Thresholds, *, max_batch: int) -> None:
        if thresholds.max_detections > MOST_DETECTIONS:
            raise ValueError(
                f"max_detections is {thresholds.max_detections}, and a GPU keeps at most "
                f"{MOST_DETECTIONS} a frame: lower it, or serve the profile 'cpu'"
            )
        self._places = thresholds.max_detections
        addresses = [(name, np.uint64, max_batch) for name in ("predictions", "places")]
        self._batch = np.zeros((), np.dtype(addresses))
        kinds = [("confidence", np.float32), ("iou", np.float32), ("max_detections", np.int32)]
        self._thresholds = np.array(
            (thresholds.confidence, thresholds.iou, thresholds.max_detections), np.dtype(kinds)
        )
        module = _compiled(max_batch=max_batch, max_detections=thresholds.max_detections)
        self._collect, self._suppress = map(module.get_function, ("collect", "suppress"))
        self._keys = cp.empty(0, np.uint64)
        self._counts = cp.zeros(max_batch, np.int32)
        # Numbers, boxes, scores and classes, one behind the other, leave the GPU in one copy.
        size = max_batch * (1 + 6 * self._places)
        self._found = cp.empty(size, np.float32)
        pinned = cp.cuda.alloc_pinned_memory(4 * size)
        self._on_host = np.frombuffer(pinned, np.float32, size)
        self._views = lru_cache(maxsize=max_batch)(self._split)
        # Zeroed on another stream than it is used on.
        cp.cuda.Device().synchronize()

    def __call__(
        self, predictions: Sequence[cp.ndarray], letterboxes: Sequence[cp.ndarray]
    ) -> Detections:
        """Find the detections of each frame, on the current stream; wait for them.

        Args:
            predictions: float32 [n, rows, 6] each, as `output` of the network; the same rows.
            letterboxes: float32 [n, 4] each, as `letterbox` of preprocess.

        Returns:
            The detections of all frames in turn, in host memory that the next call overwrites.
        """
        count, rows = sum(map(len, predictions)), predictions[0].shape[1]
        self._batch["predictions"][:count] = _addresses(predictions, rows * _ROW)
        self._batch["places"][:count] = _addresses(letterboxes, 4)
        if self._keys.size < rows * len(self._counts):
            self._keys = cp.empty(rows * len(self._counts), np.uint64)
        found, on_host = self._views(count)
        shared = (self._batch, self._thresholds, np.int32(rows), self._keys, self._counts)
        self._collect((-(-rows // _COLLECTING), count), (_COLLECTING,), shared)
        self._suppress((count,), (_THREADS,), (*shared, *found))
        used = count * (1 + 6 * self._places)
        stream = cp.cuda.get_current_stream()
        self._found[:used].get(stream=stream, out=self._on_host[:used], blocking=False)
        stream.synchronize()
        return on_host

    def _split(self, count: int) -> tuple[list[cp.ndarray], Detections]:
        """Where the outputs of so many frames lie, on the GPU and on the host."""
        return (
            _outputs(self._found, count, self._places),
            Detections(*_outputs(self._on_host, count, self._places)),
        )


def _compiled(*, max_batch: int, max_detections: int) -> cp.RawModule:
    macros = {
        "MAX_BATCH": max_batch,
        "THREADS": _THREADS,
        "CHUNK": _CHUNK,
        "MAX_DETECTIONS": max_detections,
    }
    return cp.RawModule(
        code=Path(__file__).with_name("nms.cu").read_text(),
        # Without fused multiply-adds: the CPU rounds twice.
        options=("--fmad=false", *(f"-D{name}={value}" for name, value in macros.items())),
    )


def _addresses(batches: Sequence[cp.ndarray], values: int) -> list[int]:
    """Where the tensor of each frame begins, `values` float32 each."""
    return [batch.data.ptr + 4 * values * index for batch in batches for index in range(len(batch))]


def _outputs(whole: cp.ndarray, count: int, places: int) -> list[cp.ndarray]:
    """Views of `whole`, NumPy or CuPy: [n, 1], [n, places, 4], [n, places] and [n, places]."""
    views, start = [], 0
    for shape in ((count, 1), (count, places, 4), (count, places), (count, places)):
        size = int(np.prod(shape))
        views.append(whole[start : start + size].reshape(shape))
        start += size
    return views
