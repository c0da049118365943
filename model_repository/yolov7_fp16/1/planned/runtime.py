"""Carries out the plan of a network on a GPU, with one CUDA graph for each batch size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import cupy as cp
import numpy as np
import onnx

from ..half import INPUT, OUTPUT, to_fp16
from . import convolutions, cudnn, store, tuning
from .convolutions import Spec
from .cudnn import Context, Library
from .kernels import Call, Kernels, Place
from .placement import place
from .plan import BYTES, Add, Convert, Convolution, Decode, Launch, Plan, Pool, Slice
from .planner import plan_of
from .tuning import Tuner

_FILE_FORMAT = 3
"""Part of the name of the file of compiled convolutions. It changes when the format does."""


class PlannedRuntime:
    """A planned network with its memory and its kernels.

    Args:
        model: ONNX file.
        inputs: float32 [at least the largest batch size, 3, H, W].
        outputs: float32 [at least the largest batch size, rows, 6].
        batch_sizes: Batch sizes to capture, ascending.
        stream: CUDA stream of all work.

    Raises:
        PlanError: The network has something that no launch computes.
        CudnnError: cuDNN cannot be loaded, or cannot compute a convolution on this GPU.
        ValueError: Other users may write to the folder of compiled convolutions.
    """

    def __init__(
        self,
        model: Path,
        *,
        inputs: cp.ndarray,
        outputs: cp.ndarray,
        batch_sizes: Sequence[int],
        stream: cp.cuda.Stream,
    ) -> None:
        image_shape = tuple(inputs.shape[1:])
        self._plan = plan_of(
            to_fp16(onnx.load(model)), names=(INPUT, OUTPUT), image_shape=image_shape
        )
        self._inputs, self._outputs, self._stream = inputs, outputs, stream
        self._placement = place(self._plan)
        self._memory = cp.zeros(self._placement.size * batch_sizes[-1], cp.uint8)
        self._weights = {
            launch: (cp.asarray(np.ascontiguousarray(launch.weight)), cp.asarray(launch.bias))
            for launch in _convolutions(self._plan)
        }
        self._kernels = _kernels(self._plan)
        # `stream` does not wait for the copies above, which are on the default stream.
        cp.cuda.Device().synchronize()
        library = Library()
        self._context = Context(library, stream.ptr)
        path = store.folder() / f"{_digest(model.read_bytes())}-{_device_key(library)}.zip"
        specs = [spec for size in reversed(batch_sizes) for spec in self._specs(size)]
        # Kept, because cuDNN unloads the kernels of a plan that is destroyed, and graphs need them.
        self._plans = Tuner(self._context, stream=stream, path=path).plans(specs)
        most = max(cudnn.workspace_of(plan) for plan in self._plans.values())
        self._workspace = cp.empty(max(most, 1), cp.uint8)
        self._graphs = {size: self._recorded(size) for size in batch_sizes}

    def launch(self, batch_size: int) -> None:
        """Start to compute the first `batch_size` rows of the output."""
        self._graphs[batch_size].launch(self._stream)

    def _specs(self, batch: int) -> Iterator[Spec]:
        for launch in _convolutions(self._plan):
            yield convolutions.spec_of(launch, self._plan, batch)

    def _place(self, one: Slice, batch: int) -> Place:
        start = self._placement.offsets[one.buffer] * batch + one.start * BYTES
        address = int(self._memory.data.ptr) + start
        return Place(convolutions.map_of(one, self._plan), address)

    def _call(self, launch: Launch, batch: int) -> Call:
        """Bind a launch to its memory."""
        if isinstance(launch, Convolution):
            return self._convolution(launch, batch)
        if isinstance(launch, Decode):
            maps = [self._place(one, batch) for one in launch.sources]
            return self._kernels.decode(batch, maps, int(self._outputs.data.ptr))
        target = self._place(launch.target, batch)
        if isinstance(launch, Convert):
            images = int(self._inputs.data.ptr)
            return self._kernels.convert(batch, images, launch.channels, target)
        source = self._place(launch.source, batch)
        if isinstance(launch, Pool):
            window = {"kernel": launch.kernel, "stride": launch.stride, "pad": launch.pad}
            return self._kernels.pool(batch, source, target, **window)
        if isinstance(launch, Add):
            return self._kernels.add(batch, source, self._place(launch.other, batch), target)
        return self._kernels.upsample(batch, source, target, scale=launch.scale)

    def _convolution(self, launch: Convolution, batch: int) -> Call:
        weight, bias = self._weights[launch]
        addresses = {
            convolutions.SOURCE: self._place(launch.source, batch).address,
            convolutions.WEIGHT: int(weight.data.ptr),
            convolutions.BIAS: int(bias.data.ptr),
            convolutions.TARGET: self._place(launch.target, batch).address,
        }
        if launch.added is not None:
            addresses[convolutions.ADDED] = self._place(launch.added, batch).address
        plan = self._plans[convolutions.spec_of(launch, self._plan, batch)]
        return tuning.bound(self._context, plan, addresses, int(self._workspace.data.ptr))

    def _recorded(self, batch: int) -> Any:
        """The CUDA graph of all launches for one batch size."""
        calls = [self._call(launch, batch) for launch in self._plan.launches]
        with self._stream:
            # The first launch of a kernel loads it, which cannot be captured.
            for call in calls:
                call()
            self._stream.synchronize()
            self._stream.begin_capture()
            try:
                for call in calls:
                    call()
            finally:
                graph = self._stream.end_capture()
            graph.launch(self._stream)
            self._stream.synchronize()
        return graph


def _convolutions(plan: Plan) -> list[Convolution]:
    return [launch for launch in plan.launches if isinstance(launch, Convolution)]


def _kernels(plan: Plan) -> Kernels:
    last = plan.launches[-1]
    assert isinstance(last, Decode)
    return Kernels(last.decoder, [plan.buffers[one.buffer].channels for one in last.sources])


def _device_key(library: Library) -> str:
    """Compiled convolutions are valid for one kind of GPU, one driver and one cuDNN."""
    found = cp.cuda.runtime.getDeviceProperties(cp.cuda.Device().id)
    driver = cp.cuda.runtime.driverGetVersion()
    facts = (found["name"], found["multiProcessorCount"], driver, library.version, _FILE_FORMAT)
    return _digest(repr(facts).encode())


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()[:16]
