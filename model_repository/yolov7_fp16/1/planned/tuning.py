"""Finds the fastest execution plan for each convolution, by timing what cuDNN offers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from hashlib import sha256
from pathlib import Path

import cupy as cp
import numpy as np

from . import convolutions, cudnn, store
from .convolutions import Spec
from .cudnn import Context, Descriptor
from .errors import CudnnError

_CANDIDATES = 4
"""Configurations that are tried for each convolution. Each takes up to seconds to compile."""
_REPEATS = 10
"""Launches of a plan in one timed CUDA graph."""
_ROUNDS = 3
"""Times that this graph is timed; the shortest counts."""
_MOST_WORKSPACE_BYTES = 256 << 20
_RANDOM_VALUES = 1 << 20
"""Distinct values in the maps that plans are timed with; larger maps repeat them."""

Plans = dict[Spec, Descriptor]


class Tuner:
    """Finds and keeps execution plans.

    Args:
        context: cuDNN on the current device.
        stream: The context's CUDA stream.
        path: The file that keeps the plans.
    """

    def __init__(self, context: Context, *, stream: cp.cuda.Stream, path: Path) -> None:
        self._context, self._stream, self._path = context, stream, path

    def plans(self, specs: Sequence[Spec]) -> Plans:
        """The fastest plan for each specification, from the file or else by trying.

        Raises:
            CudnnError: No configuration computes one of the convolutions.
        """
        with store.locked(self._path):
            kept = store.read(self._path)
            plans = dict(self._loaded(specs, kept))
            if missing := [spec for spec in dict.fromkeys(specs) if spec not in plans]:
                found = self._tried(missing)
                # CuPy's pool would keep the memory that plans were timed on.
                cp.get_default_memory_pool().free_all_blocks()
                plans |= found
                kept |= {_key(spec): cudnn.bytes_of(plan) for spec, plan in found.items()}
                store.write(self._path, kept)
        return plans

    def _loaded(
        self, specs: Sequence[Spec], kept: Mapping[str, bytes]
    ) -> Iterator[tuple[Spec, Descriptor]]:
        for spec in dict.fromkeys(specs):
            try:
                yield spec, self._context.load(kept[_key(spec)])
            except (KeyError, CudnnError):
                continue

    def _tried(self, specs: Sequence[Spec]) -> Plans:
        """Compile on all cores, and time each plan as soon as it is compiled."""
        fastest: dict[Spec, tuple[float, Descriptor]] = {}
        refusals: dict[Spec, str] = {}
        scratch = _Scratch(specs)
        device = cp.cuda.Device()
        with ThreadPoolExecutor(len(os.sched_getaffinity(0)), initializer=device.use) as pool:
            # The largest first, so that no long compilation is left for the end.
            ordered = sorted(specs, key=lambda spec: spec.products, reverse=True)
            waiting: dict[Future[Descriptor], Spec] = {}
            for spec, candidates in zip(ordered, pool.map(self._candidates, ordered), strict=True):
                for one in candidates:
                    waiting[pool.submit(self._context.plan, one)] = spec
            for future in as_completed(waiting):
                spec = waiting.pop(future)
                try:
                    plan = future.result()
                    microseconds = self._timed(spec, plan, scratch)
                except (CudnnError, cp.cuda.runtime.CUDARuntimeError, MemoryError) as error:
                    refusals[spec] = getattr(error, "reason", str(error))
                    continue
                if spec not in fastest or microseconds < fastest[spec][0]:
                    fastest[spec] = microseconds, plan
        for spec in specs:
            if spec not in fastest:
                raise _no_plan(spec, refusals.get(spec, "no configuration is offered"))
        return {spec: plan for spec, (_, plan) in fastest.items()}

    def _candidates(self, spec: Spec) -> list[Descriptor]:
        """The first configurations that cuDNN's heuristics name, without repetitions."""
        found: dict[str, Descriptor] = {}
        try:
            graph = convolutions.graph_of(self._context, spec)
        except CudnnError as error:
            raise _no_plan(spec, error.reason) from error
        for mode in cudnn.HEURISTIC_MODES:
            try:
                for one in self._context.configurations(graph, mode)[:_CANDIDATES]:
                    found.setdefault(cudnn.name_of(one), one)
            except CudnnError:
                # Another heuristic may have an answer.
                continue
        return list(found.values())[:_CANDIDATES]

    def _timed(self, spec: Spec, plan: Descriptor, scratch: _Scratch) -> float:
        """Microseconds that a launch takes."""
        workspace = cudnn.workspace_of(plan)
        if workspace > _MOST_WORKSPACE_BYTES:
            raise CudnnError(f"a plan needs a workspace of {workspace} bytes")
        addresses = scratch.addresses(spec)
        return self._clock(bound(self._context, plan, addresses, scratch.workspace(workspace)))

    def _clock(self, launch: Callable[[], None]) -> float:
        with self._stream:
            launch()
            self._stream.synchronize()
            self._stream.begin_capture()
            try:
                for _ in range(_REPEATS):
                    launch()
            finally:
                graph = self._stream.end_capture()
            start, end = cp.cuda.Event(), cp.cuda.Event()
            times = []
            for _ in range(_ROUNDS):
                start.record(self._stream)
                graph.launch(self._stream)
                end.record(self._stream)
                end.synchronize()
                times.append(cp.cuda.get_elapsed_time(start, end))
        return float(1000 * min(times) / _REPEATS)


def _key(spec: Spec) -> str:
    """The name of a convolution in the file."""
    return sha256(repr(spec).encode()).hexdigest()


def _no_plan(spec: Spec, reason: str) -> CudnnError:
    # CuPy gives 9.0 as "90".
    *major, minor = cp.cuda.Device().compute_capability
    return CudnnError(
        f"cuDNN has no plan for {spec} on this GPU, whose compute capability is "
        f"{''.join(major)}.{minor} ({reason})"
    )


class _Scratch:
    """Device memory to time plans on, large enough for each convolution, with plausible values."""

    def __init__(self, specs: Sequence[Spec]) -> None:
        elements = max(
            spec.batch * one.height * one.width * one.pitch
            for spec in specs
            for one in (spec.source, spec.target, spec.added)
            if one is not None
        )
        weights = max(spec.target.channels * spec.filter_size for spec in specs)
        channels = max(spec.target.channels for spec in specs)
        values = np.random.default_rng(0).standard_normal(_RANDOM_VALUES).astype(np.float16)
        self._source, self._target, self._added = (
            cp.resize(cp.asarray(values), elements) for _ in range(3)
        )
        # Small weights, so that no sum overflows.
        self._weight = cp.resize(cp.asarray(values / np.float16(64)), weights)
        self._bias = cp.full(channels, 0.01, cp.float32)
        self._workspace = cp.empty(1, cp.uint8)
        cp.cuda.Device().synchronize()

    def addresses(self, spec: Spec) -> dict[int, int]:
        """The addresses for a convolution, by uid."""
        arrays = {
            convolutions.SOURCE: self._source,
            convolutions.WEIGHT: self._weight,
            convolutions.BIAS: self._bias,
            convolutions.TARGET: self._target,
        }
        if spec.added is not None:
            arrays[convolutions.ADDED] = self._added
        return {uid: int(array.data.ptr) for uid, array in arrays.items()}

    def workspace(self, size: int) -> int:
        """The address of at least `size` bytes."""
        if size > self._workspace.size:
            self._workspace = cp.empty(size, cp.uint8)
        return int(self._workspace.data.ptr)


def bound(
    context: Context, plan: Descriptor, addresses: Mapping[int, int], workspace: int
) -> Callable[[], None]:
    """A function that launches a plan on fixed addresses.

    Args:
        context: cuDNN on the current device.
        plan: The execution plan.
        addresses: Address of each tensor, by uid.
        workspace: Address of as many bytes as `cudnn.workspace_of(plan)` says.
    """
    pack = cudnn.variant_pack(context.library, addresses, workspace)
    return lambda: context.execute(plan, pack)
