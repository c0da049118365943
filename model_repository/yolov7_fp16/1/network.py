"""The network on a GPU: runs the images of several requests in launches of prepared sizes.

A runtime has a CUDA graph for each of a few batch sizes, with memory at fixed addresses. So the
many small kernels of a network are one launch, and any number of images needs only a few launches.
"""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable, Sequence
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Any, Protocol

import cupy as cp
import numpy as np

from .launches import launches


class Runtime(Protocol):
    """Computes a network."""

    def launch(self, batch_size: int) -> None:
        """Compute the first rows of the output from those of the input; do not wait for them."""


class Network:
    """A network with its memory.

    Args:
        runtime: The runtime that computes the network.
        inputs: float32 [largest launch, 3, H, W], which the runtime reads.
        outputs: float32 [largest batch, rows, 6], whose first rows the runtime writes.
        batch_sizes: The runtime's batch sizes, ascending.
        stream: The runtime's CUDA stream.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        inputs: cp.ndarray,
        outputs: cp.ndarray,
        batch_sizes: Sequence[int],
        stream: cp.cuda.Stream,
    ) -> None:
        self._inputs, self._outputs = list(inputs), outputs
        self.launch = runtime.launch
        self.batch_sizes, self.stream = tuple(batch_sizes), stream

    def run(self, batches: Sequence[cp.ndarray]) -> list[cp.ndarray]:
        """Detect in the images of several requests.

        Args:
            batches: float32 [n, 3, H, W] each, RGB, 0..1, in memory of any GPU; together as many as
                `outputs` has rows for.

        Returns:
            float32 [n, rows, 6] each: views that the next call overwrites. The work may still be
            under way on the current stream, which has to be `stream`.
        """
        images = list(chain.from_iterable(batches))
        # In reverse order: the outputs of the first launch need not be moved afterwards.
        for start, size in reversed(list(launches(len(images), self.batch_sizes))):
            taken = images[start : start + size]
            for place, image in zip(self._inputs, taken):  # noqa: B905  # may have room left
                _copy(place, image)
            self.launch(size)
            if start:
                _copy(self._outputs[start : start + len(taken)], self._outputs[: len(taken)])
        ends = accumulate(map(len, batches), initial=0)
        return [self._outputs[start:end] for start, end in pairwise(ends)]


def _copy(target: cp.ndarray, source: cp.ndarray) -> None:
    target.data.copy_from_device_async(source.data, source.nbytes)


def open_network(
    model: Path,
    *,
    runtime: str,
    stream: cp.cuda.Stream,
    batch_sizes: Sequence[int],
    max_batch: int,
    image_shape: tuple[int, int, int],
    rows: int,
) -> Network:
    """Load a network and warm it up, so that the first frame is not slow.

    Args:
        model: ONNX file; its weights are converted to float16 unless they are.
        runtime: `onnxruntime`, `torch` or `cudnn`.
        stream: Where all work goes, on the current device.
        batch_sizes: To prepare, ascending.
        max_batch: Most images of one call of `Network.run`.
        image_shape: 3, height and width of an image.
        rows: Rows of the output for one image.
    """
    inputs = cp.zeros((batch_sizes[-1], *image_shape), np.float32)
    outputs = cp.zeros((max_batch, rows, 6), np.float32)
    cp.cuda.Device().synchronize()
    memory = {"inputs": inputs, "outputs": outputs, "batch_sizes": batch_sizes, "stream": stream}
    return Network(_runtime(runtime)(model, **memory), **memory)


def _runtime(name: str) -> Callable[..., Runtime]:
    # PyTorch is not in every environment.
    if name == "torch":
        from .torch_runtime import TorchRuntime

        return TorchRuntime
    if name == "cudnn":
        return _planned_runtime
    from .onnx_runtime import OnnxRuntime

    return OnnxRuntime


def _planned_runtime(model: Path, **memory: Any) -> Runtime:
    """Make a `PlannedRuntime`.

    Raises:
        ValueError: It cannot serve, or there is no room for what it compiles.
    """
    from .planned.runtime import PlannedRuntime

    try:
        return PlannedRuntime(model, **memory)
    except OSError as error:
        if not _is_about_room(error):
            raise
        folder = tempfile.tempdir or "the folder for temporary files"
        raise ValueError(
            f"the profile 'cudnn-gpu' cannot keep what it compiles ({error}): free space in "
            f"{folder} and in CuPy's cache, or set TMPDIR and CUPY_CACHE_DIR to other folders"
        ) from error


def _is_about_room(error: OSError) -> bool:
    if error.errno == errno.ENOENT:
        # If no folder for temporary files can be written, Python reports it without a file.
        return error.filename is None
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
