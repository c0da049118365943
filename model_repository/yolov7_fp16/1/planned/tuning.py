"""Finds the fastest way to compute each convolution, and keeps it on disk."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import cupy as cp
import numpy as np

from . import convolutions, cudnn, store
from .convolutions import Spec
from .cudnn import Context, CudnnError, Descriptor
from .kernels import Kernels, bytes_of
from .store import Choice

_REPEATS = 10
"""Launches that are timed as one."""
_ROUNDS = 3
_MOST_WORKSPACE = 256 << 20
_NUMBERS = 1 << 20
"""Different ones to time with."""


@dataclass(frozen=True)
class Search:
    """How much is tried. A kernel takes up to seconds of a core to compile.

    Attributes:
        fused: Most candidates of a convolution with bias and activation, best guess first.
        alone: Most candidates of one without: they need no compiler, but a second launch.
        every: Of so many convolutions with the most work, every kernel is tried.
    """

    fused: int = 4
    alone: int = 6
    every: int = 0


@dataclass(frozen=True)
class Tuned:
    """A convolution that is ready to be launched.

    Attributes:
        choice: Which was the fastest.
        plan: Ready.
        workspace: Bytes that it needs.
    """

    choice: Choice
    plan: Descriptor
    workspace: int


@dataclass(frozen=True)
class _Candidate:
    spec: Spec
    engine: str
    configuration: Descriptor


class Tuner:
    """Chooses among cuDNN's engines by the clock.

    Args:
        context: Of the device.
        stream: Where launches are timed.
        kernels: For what a convolution leaves to others.
        path: File of the choices.
        search: How much to try.

    Attributes:
        refused: What cuDNN said of the candidates that did not work.
        tried: Microseconds of all that did: specification, engine, whether fused.
    """

    def __init__(
        self,
        context: Context,
        *,
        stream: cp.cuda.Stream,
        kernels: Kernels,
        path: Path,
        search: Search,
    ) -> None:
        self._context, self._stream, self._kernels, self._path = context, stream, kernels, path
        self._search = search
        self.refused: list[str] = []
        self.tried: list[tuple[Spec, str, bool, float]] = []

    def tuned(self, specs: Sequence[Spec]) -> dict[Spec, Tuned]:
        """The fastest way for each, from the file or by trying.

        Raises:
            CudnnError: There is none for one of them.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._path.with_suffix(".lock").open("w") as lock:
            # Another process of this step waits here, and then finds what this one has found.
            fcntl.flock(lock, fcntl.LOCK_EX)
            return self._found(specs)

    def _found(self, specs: Sequence[Spec]) -> dict[Spec, Tuned]:
        kept = store.read(self._path)
        ready: dict[Spec, Tuned] = {}
        for spec in dict.fromkeys(specs):
            choice = kept.get(store.name_of(spec))
            if choice is not None and (tuned := self._loaded(choice)):
                ready[spec] = tuned
        if missing := [spec for spec in dict.fromkeys(specs) if spec not in ready]:
            ready |= self._tried(missing)
            kept |= {store.name_of(spec): one.choice for spec, one in ready.items()}
            store.write(self._path, kept)
        return ready

    def _loaded(self, choice: Choice) -> Tuned | None:
        try:
            plan = self._context.plan_of_text(choice.plan)
        except CudnnError as error:
            self.refused.append(f"kept {choice.engine}: {error}")
            return None
        return Tuned(choice, plan, cudnn.workspace_of(plan))

    def _tried(self, specs: Sequence[Spec]) -> dict[Spec, Tuned]:
        """Compile on all cores, and time what is ready meanwhile."""
        best: dict[Spec, Tuned] = {}
        scratch = _Scratch(specs)
        device = cp.cuda.Device()
        with ThreadPoolExecutor(len(os.sched_getaffinity(0)), initializer=device.use) as pool:
            waiting: dict[Future[Descriptor], tuple[Spec, _Candidate]] = {}
            # The most work first: its turn to be timed comes while the rest is compiled.
            for rank, spec in enumerate(sorted(specs, key=_work, reverse=True)):
                for candidate in self._candidates(spec, every=rank < self._search.every):
                    future = pool.submit(self._context.plan, candidate.configuration)
                    waiting[future] = (spec, candidate)
            for future in as_completed(waiting):
                spec, candidate = waiting.pop(future)
                try:
                    tuned = self._timed(candidate, future.result(), scratch)
                except (CudnnError, cp.cuda.runtime.CUDARuntimeError, MemoryError) as error:
                    self.refused.append(f"{candidate.engine} for {candidate.spec}: {error}")
                    continue
                choice = tuned.choice
                self.tried.append((spec, choice.engine, choice.fused, choice.microseconds))
                known = best.get(spec)
                if known is None or choice.microseconds < known.choice.microseconds:
                    best[spec] = tuned
        for spec in specs:
            if spec not in best:
                raise CudnnError(f"no engine computes {spec}: {self.refused[-1:]}")
        return best

    def _candidates(self, spec: Spec, *, every: bool) -> Iterator[_Candidate]:
        yield from self._engines(spec, self._search.fused, every=every)
        if spec.source.kind == spec.target.kind == "half":
            yield from self._engines(replace(spec, fused=False), self._search.alone, every=False)

    def _engines(self, spec: Spec, most: int, *, every: bool) -> Iterator[_Candidate]:
        with self._refusing(f"graph of {spec}"):
            graph = convolutions.graph_of(self._context, spec)
            chosen = self._named(spec, graph, most)
            for number in {cudnn.number_of(one) for one in chosen.values()} if every else ():
                with self._refusing(f"kernels of engine {number} of {spec}"):
                    for one in self._context.all_configurations(graph, number):
                        chosen.setdefault(cudnn.engine_of(one), one)
            for engine, configuration in chosen.items():
                yield _Candidate(spec, engine, configuration)

    def _named(self, spec: Spec, graph: Descriptor, most: int) -> dict[str, Descriptor]:
        """What the heuristics name, without repetitions."""
        seen: dict[str, Descriptor] = {}
        for mode in cudnn.HEURISTIC_MODES:
            with self._refusing(f"heuristic {mode} of {spec}"):
                for one in self._context.configurations(graph, mode)[:most]:
                    seen.setdefault(cudnn.engine_of(one), one)
        return dict(list(seen.items())[:most])

    @contextlib.contextmanager
    def _refusing(self, what: str) -> Iterator[None]:
        """Note what cuDNN refuses, and go on."""
        try:
            yield
        except CudnnError as error:
            self.refused.append(f"{what}: {error}")

    def _timed(self, candidate: _Candidate, plan: Descriptor, scratch: _Scratch) -> Tuned:
        workspace = cudnn.workspace_of(plan)
        if workspace > _MOST_WORKSPACE:
            raise CudnnError(f"a workspace of {workspace} bytes")
        launch = bound(
            self._context,
            candidate.spec,
            plan,
            addresses=scratch.addresses(candidate.spec),
            workspace=scratch.workspace(workspace),
            kernels=self._kernels,
        )
        microseconds = self._clock(launch)
        choice = Choice(candidate.spec.fused, candidate.engine, microseconds, cudnn.text_of(plan))
        return Tuned(choice, plan, workspace)

    def _clock(self, launch: Callable[[], None]) -> float:
        """Microseconds of one launch among others, as part of a recorded graph."""
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
        return 1000 * min(times) / _REPEATS


def _work(spec: Spec) -> int:
    pixels = spec.batch * spec.target.height * spec.target.width
    return pixels * spec.target.channels * spec.source.channels * spec.filter[0] * spec.filter[1]


class _Scratch:
    """Memory to time on: numbers like those of a network, large enough for all."""

    def __init__(self, specs: Sequence[Spec]) -> None:
        maps = [one for spec in specs for one in (spec.source, spec.target, spec.added) if one]
        batch = max(spec.batch for spec in specs)
        size = max(bytes_of(one) for one in maps) * batch
        some = np.random.default_rng(0).standard_normal(_NUMBERS).astype(np.float16)
        self._maps = [cp.resize(cp.asarray(some), size // 2) for _ in range(3)]
        filters = max(
            spec.target.channels * spec.filter[0] * spec.filter[1] * spec.source.channels
            for spec in specs
        )
        # Small, so that nothing overflows.
        self._weights = cp.resize(cp.asarray(some / np.float16(64)), filters)
        channels = max(spec.target.channels for spec in specs)
        self._vector = cp.full(channels, 0.01, cp.float32)
        self._workspace = cp.empty(1, cp.uint8)
        cp.cuda.Device().synchronize()

    def addresses(self, spec: Spec) -> dict[int, int]:
        one, other, third = (array.data.ptr for array in self._maps)
        vector = self._vector.data.ptr
        return addresses_of(
            spec,
            source=one,
            target=other,
            added=third,
            weight=self._weights.data.ptr,
            bias=vector,
            factors=vector,
            quotient=vector,
        )

    def workspace(self, size: int) -> int:
        if size > self._workspace.size:
            self._workspace = cp.empty(size, cp.uint8)
        return int(self._workspace.data.ptr)


def addresses_of(spec: Spec, **known: int) -> dict[int, int]:
    """Those addresses that a convolution needs, by uid.

    Args:
        spec: Which.
        known: Addresses of `source`, `weight`, `bias`, `target`, `added`, `factors`, `quotient`.
    """
    found = {
        convolutions.SOURCE: known["source"],
        convolutions.WEIGHT: known["weight"],
        convolutions.TARGET: known["target"],
        convolutions.BIAS: known["bias"],
    }
    if spec.added is not None:
        found[convolutions.ADDED] = known["added"]
    if spec.source.kind == "float8":
        found[convolutions.FACTORS] = known["factors"]
    if spec.target.kind == "float8":
        found[convolutions.QUOTIENT] = known["quotient"]
    return found


def bound(
    context: Context,
    spec: Spec,
    plan: Descriptor,
    *,
    addresses: dict[int, int],
    workspace: int,
    kernels: Kernels,
) -> Callable[[], None]:
    """A launch of a convolution with all that belongs to it, on fixed addresses."""
    library, handle = context.library, context.handle
    assert handle is not None
    alone = (convolutions.SOURCE, convolutions.WEIGHT, convolutions.TARGET)
    given = addresses if spec.fused else {uid: addresses[uid] for uid in alone}
    pack = cudnn.variant_pack(library, given, workspace)

    def convolve() -> None:
        cudnn.execute(library, handle, plan, pack)

    if spec.fused:
        return convolve
    finish = kernels.finish(
        spec.batch,
        spec.target,
        addresses[convolutions.TARGET],
        addresses[convolutions.BIAS],
        spec.activation,
        spec.slope,
        added=None if spec.added is None else (spec.added, addresses[convolutions.ADDED]),
    )

    def both() -> None:
        convolve()
        finish()

    return both
