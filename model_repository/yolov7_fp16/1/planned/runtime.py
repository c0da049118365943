"""Carries a plan out on a GPU, with a CUDA graph a batch size."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import cupy as cp
import numpy as np
import onnx

from ..half import INPUT, OUTPUT, to_fp16
from . import convolutions, precision, tuning
from .convolutions import Map, Spec
from .cudnn import Context, Library
from .kernels import Kernels, Launch, decoding
from .placement import place
from .plan import Add, Convert, Convolution, Decode, Plan, Pool, Slice, Upsample, target_of
from .planner import plan_of
from .precision import Precision
from .tuning import Search, Tuned, Tuner

_FORMAT = 2
"""Of the file of choices; another one for what cannot be read as before."""


class Engine:
    """A plan with its memory and its kernels.

    Args:
        plan: What to launch.
        kept: What its maps are kept in.
        inputs: float32 [at least the largest batch size, 3, H, W].
        outputs: float32 [at least the largest batch size, rows, 6].
        batch_sizes: Those to prepare, ascending.
        stream: Where all work goes.
        choices: File of the fastest ways to compute convolutions, without its ending.
        search: How many ways to try.

    Attributes:
        steps: The launches of each batch size, not recorded.
        tuner: How convolutions were chosen.
        tuned: How each is computed, by batch size, in the plan's order.
        seconds: What took how long.
    """

    def __init__(
        self,
        plan: Plan,
        kept: Precision,
        *,
        inputs: cp.ndarray,
        outputs: cp.ndarray,
        batch_sizes: Sequence[int],
        stream: cp.cuda.Stream,
        choices: Path,
        search: Search = Search(),  # noqa: B008  # it cannot be changed
    ) -> None:
        self.plan, self.precision, self._stream = plan, kept, stream
        self._inputs, self._outputs = inputs, outputs
        self.seconds: dict[str, float] = {}
        self._placement = place(plan, kept.bytes_per_element())
        self._arena = cp.zeros(self._placement.size * batch_sizes[-1], cp.uint8)
        self._weights = {id(one): _weights(one, kept) for one in _convolutions(plan)}
        # The stream waits for no other.
        cp.cuda.Device().synchronize()
        library = Library()
        self._context = Context(library, handle=library.handle(stream.ptr))
        with self._timed("kernels"):
            self._kernels = Kernels()
        path = choices.with_name(f"{choices.name}-{_device_key(library.version)}.zip")
        self.tuner = Tuner(
            self._context, stream=stream, kernels=self._kernels, path=path, search=search
        )
        with self._timed("convolutions"):
            tuned = self.tuner.tuned(
                [spec for size in reversed(batch_sizes) for spec in self._specs(size)]
            )
        most = max(one.workspace for one in tuned.values())
        self._workspace = cp.empty(max(most, 1), cp.uint8)
        self.tuned = {
            size: [(spec, tuned[spec]) for spec in self._specs(size)] for size in batch_sizes
        }
        self.steps = {size: self._bound(size, tuned) for size in batch_sizes}
        with self._timed("graphs"):
            self._graphs = {size: self._recorded(size) for size in batch_sizes}

    def launch(self, batch_size: int) -> None:
        """Compute the first `batch_size` rows of the output; do not wait for them."""
        self._graphs[batch_size].launch(self._stream)

    def peaks(self, batch_size: int) -> list[float]:
        """The largest magnitude that each buffer has on what is in the inputs now; float16 only."""
        found = [0.0] * len(self.plan.buffers)
        with self._stream:
            for launch, step in zip(self.plan.launches, self.steps[batch_size], strict=True):
                step()
                if (target := target_of(launch)) is not None:
                    peak = float(cp.abs(self.map(target, batch_size)).max())
                    found[target.buffer] = max(found[target.buffer], peak)
        return found

    def map(self, one: Slice, batch_size: int) -> cp.ndarray:
        """A slice in float16, [batch, height, width, channels], until others take its memory."""
        buffer, start = self.plan.buffers[one.buffer], self._placement.offsets[one.buffer]
        size = 2 * buffer.elements * batch_size
        memory = self._arena[start * batch_size : start * batch_size + size].view(cp.float16)
        shape = (batch_size, buffer.height, buffer.width, buffer.channels)
        return memory.reshape(shape)[..., one.start : one.start + one.channels]

    def _timed(self, what: str) -> _Seconds:
        return _Seconds(self.seconds, what)

    def _specs(self, batch: int) -> Iterator[Spec]:
        for launch in _convolutions(self.plan):
            yield convolutions.spec_of(launch, self.plan, self.precision, batch)

    def _place(self, one: Slice, batch: int) -> tuple[Map, int]:
        made = convolutions.map_of(one, self.plan, self.precision)
        within = one.start * precision.BYTES[made.kind]
        start = self._placement.offsets[one.buffer] * batch
        return made, int(self._arena.data.ptr) + start + within

    def _bound(self, batch: int, tuned: dict[Spec, Tuned]) -> list[Launch]:
        return [self._step(launch, batch, tuned) for launch in self.plan.launches]

    def _step(self, launch: Any, batch: int, tuned: dict[Spec, Tuned]) -> Launch:
        if isinstance(launch, Convolution):
            return self._convolution(launch, batch, tuned)
        if isinstance(launch, Decode):
            maps = [self._place(one, batch) for one in launch.sources]
            return decoding(launch.decoder, maps, batch, int(self._outputs.data.ptr))
        target = self._place(launch.target, batch)
        if isinstance(launch, Convert):
            images = int(self._inputs.data.ptr)
            return self._kernels.convert(batch, images, launch.channels, *target)
        source = self._place(launch.source, batch)
        if isinstance(launch, Pool):
            window = (launch.kernel, launch.stride, launch.pad)
            return self._kernels.pool(batch, (source, target), window)
        if isinstance(launch, Upsample):
            return self._kernels.upsample(batch, (source, target), launch.scale)
        assert isinstance(launch, Add)
        return self._kernels.add(batch, (source, self._place(launch.other, batch), target))

    def _convolution(self, launch: Convolution, batch: int, tuned: dict[Spec, Tuned]) -> Launch:
        spec = convolutions.spec_of(launch, self.plan, self.precision, batch)
        found = tuned[spec]
        weights = {name: int(one.data.ptr) for name, one in self._weights[id(launch)].items()}
        places = {"source": launch.source, "target": launch.target, "added": launch.added}
        maps = {name: self._place(one, batch)[1] for name, one in places.items() if one}
        return tuning.bound(
            self._context,
            spec,
            found.plan,
            fused=found.choice.fused,
            addresses=tuning.addresses_of(spec, **maps, **weights),
            workspace=int(self._workspace.data.ptr),
            kernels=self._kernels,
        )

    def _recorded(self, batch: int) -> Any:
        steps = self.steps[batch]
        with self._stream:
            # Whatever is loaded at a first launch is loaded now.
            for step in steps:
                step()
            self._stream.synchronize()
            self._stream.begin_capture()
            try:
                for step in steps:
                    step()
            finally:
                graph = self._stream.end_capture()
            graph.launch(self._stream)
            self._stream.synchronize()
        return graph


class _Seconds:
    def __init__(self, seconds: dict[str, float], what: str) -> None:
        self._seconds, self._what = seconds, what

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self._seconds[self._what] = round(time.perf_counter() - self._start, 3)


def _convolutions(plan: Plan) -> list[Convolution]:
    return [launch for launch in plan.launches if isinstance(launch, Convolution)]


def _weights(launch: Convolution, kept: Precision) -> dict[str, cp.ndarray]:
    """What a convolution reads beside maps, in device memory."""
    made = precision.filter_of(launch, kept)
    factors = made.factors if made.factors is not None else np.ones(1, np.float32)
    return {
        "weight": cp.asarray(np.ascontiguousarray(made.codes).view(np.uint8)),
        "bias": cp.asarray(launch.bias),
        "factors": cp.asarray(factors),
        "quotient": cp.full(1, 1 / made.quotient, cp.float32),
    }


def _device_key(version: int) -> str:
    """Choices hold for a kind of device, a driver and a cuDNN."""
    found = cp.cuda.runtime.getDeviceProperties(cp.cuda.Device().id)
    driver = cp.cuda.runtime.driverGetVersion()
    facts = (found["name"], found["multiProcessorCount"], driver, version, _FORMAT)
    return sha256(repr(facts).encode()).hexdigest()[:16]


def choices_of(model: bytes) -> Path:
    """The file of choices for a network, in the folder of temporary files, without its ending."""
    folder = Path(tempfile.gettempdir()) / f"yolostream-convolutions-{os.getuid()}"
    return folder / sha256(model).hexdigest()[:16]


class PlannedRuntime:
    """The network without PyTorch: cuDNN's convolutions and kernels of this folder.

    Args:
        model: ONNX file.
        inputs: float32 [at least the largest batch size, 3, H, W].
        outputs: float32 [at least the largest batch size, rows, 6].
        batch_sizes: Those to record, ascending.
        stream: Where all work goes.

    Raises:
        PlanError: The graph has something that is not planned.
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
        shape = tuple(inputs.shape[1:])
        plan = plan_of(to_fp16(onnx.load(model)), names=(INPUT, OUTPUT), image_shape=shape)
        engine = Engine(
            plan,
            precision.half(plan),
            inputs=inputs,
            outputs=outputs,
            batch_sizes=batch_sizes,
            stream=stream,
            choices=choices_of(model.read_bytes()),
        )
        self.launch: Callable[[int], None] = engine.launch
