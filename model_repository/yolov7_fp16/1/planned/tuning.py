"""Finds the fastest way to compute each convolution, and keeps it on disk."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
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
_ALIGNMENT = 256
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
    fused: bool
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
        if self._path.parent.stat().st_uid != os.getuid():
            raise PermissionError(f"{self._path.parent} is somebody else's: set TMPDIR to another")
        with self._path.with_suffix(".lock").open("w") as lock:
            # Another process of this step waits here, and then finds what this one has found.
            fcntl.flock(lock, fcntl.LOCK_EX)
            return self._found(specs)

    def _found(self, specs: Sequence[Spec]) -> dict[Spec, Tuned]:
        kept = store.read(self._path)
        ready: dict[Spec, Tuned] = {}
        for spec in dict.fromkeys(specs):
            choice = kept.get(store.name_of(spec))
            if choice is not None and (tuned := self._loaded(spec, choice)):
                ready[spec] = tuned
        if missing := [spec for spec in dict.fromkeys(specs) if spec not in ready]:
            ready |= self._tried(missing)
            kept |= {store.name_of(spec): one.choice for spec, one in ready.items()}
            store.write(self._path, kept)
        return ready

    def _loaded(self, spec: Spec, choice: Choice) -> Tuned | None:
        try:
            plan = self._context.plan_of_text(choice.plan)
        except CudnnError as error:
            self.refused.append(f"kept {choice.engine}: {error}")
            return None
        return Tuned(choice, plan, needed(spec, plan, fused=choice.fused))

    def _tried(self, specs: Sequence[Spec]) -> dict[Spec, Tuned]:
        """Compile on all cores, and time what is ready meanwhile."""
        best: dict[Spec, Tuned] = {}
        scratch = _Scratch(specs)
        device = cp.cuda.Device()
        with ThreadPoolExecutor(len(os.sched_getaffinity(0)), initializer=device.use) as pool:
            # The most work first: its turn to be timed comes while the rest is compiled.
            ranked = sorted(specs, key=_work, reverse=True)
            waiting: dict[Future[Descriptor], _Candidate] = {}
            for candidates in pool.map(self._candidates, ranked, range(len(ranked))):
                for one in candidates:
                    waiting[pool.submit(self._context.plan, one.configuration)] = one
            for future in as_completed(waiting):
                candidate = waiting.pop(future)
                spec = candidate.spec
                try:
                    plan = future.result()
                    microseconds, workspace = self._timed(candidate, plan, scratch)
                except (CudnnError, cp.cuda.runtime.CUDARuntimeError, MemoryError) as error:
                    self.refused.append(f"{candidate.engine} for {spec}: {error}")
                    continue
                self.tried.append((spec, candidate.engine, candidate.fused, microseconds))
                if spec not in best or microseconds < best[spec].choice.microseconds:
                    text = cudnn.text_of(plan)
                    choice = Choice(candidate.fused, candidate.engine, microseconds, text)
                    best[spec] = Tuned(choice, plan, workspace)
        for spec in specs:
            if spec not in best:
                raise CudnnError(f"no engine computes {spec}: {self.refused[-1:]}")
        return best

    def _candidates(self, spec: Spec, rank: int) -> list[_Candidate]:
        """What to try for a convolution; `rank` is 0 for the one with the most work."""
        every = rank < self._search.every
        found = self._engines(spec, spec, self._search.fused, every=every)
        if spec.source.kind == spec.target.kind == "half":
            alone = convolutions.alone(spec)
            found += self._engines(spec, alone, self._search.alone, every=False)
        return found

    def _engines(self, spec: Spec, way: Spec, most: int, *, every: bool) -> list[_Candidate]:
        chosen: dict[str, Descriptor] = {}
        with self._refusing(f"graph of {way}"):
            graph = convolutions.graph_of(self._context, way)
            chosen = self._named(way, graph, most)
            for number in {cudnn.number_of(one) for one in chosen.values()} if every else ():
                with self._refusing(f"kernels of engine {number} of {way}"):
                    for one in self._context.all_configurations(graph, number):
                        chosen.setdefault(cudnn.engine_of(one), one)
        return [_Candidate(spec, way.fused, engine, one) for engine, one in chosen.items()]

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

    def _timed(
        self, candidate: _Candidate, plan: Descriptor, scratch: _Scratch
    ) -> tuple[float, int]:
        """Microseconds of a launch, and bytes that it needs beside its maps."""
        spec, fused = candidate.spec, candidate.fused
        workspace = needed(spec, plan, fused=fused)
        if workspace > _MOST_WORKSPACE:
            raise CudnnError(f"a workspace of {workspace} bytes")
        launch = bound(
            self._context,
            spec,
            plan,
            fused=fused,
            addresses=scratch.addresses(spec),
            workspace=scratch.workspace(workspace),
            kernels=self._kernels,
        )
        return self._clock(launch), workspace

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


def needed(spec: Spec, plan: Descriptor, *, fused: bool) -> int:
    """Bytes that a convolution needs beside its maps; the plan's own come last."""
    return (0 if fused else _packed_bytes(spec)) + cudnn.workspace_of(plan)


def _packed_bytes(spec: Spec) -> int:
    size = spec.batch * bytes_of(convolutions.alone(spec).target)
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def bound(
    context: Context,
    spec: Spec,
    plan: Descriptor,
    *,
    fused: bool,
    addresses: dict[int, int],
    workspace: int,
    kernels: Kernels,
) -> Callable[[], None]:
    """A launch of a convolution with all that belongs to it, on fixed addresses.

    Args:
        context: Of the device.
        spec: What is computed.
        plan: How, of `spec` or of `convolutions.alone(spec)`.
        fused: Which of the two.
        addresses: By uid.
        workspace: Address of as many bytes as `needed` says.
        kernels: For what cuDNN leaves.
    """
    library, handle = context.library, context.handle
    assert handle is not None
    if fused:
        pack = cudnn.variant_pack(library, addresses, workspace)
        return lambda: cudnn.execute(library, handle, plan, pack)
    given = {uid: addresses[uid] for uid in (convolutions.SOURCE, convolutions.WEIGHT)}
    given[convolutions.TARGET] = workspace
    pack = cudnn.variant_pack(library, given, workspace + _packed_bytes(spec))
    packed = (convolutions.alone(spec).target, workspace)
    finish = kernels.finish(
        spec.batch,
        (packed, (spec.target, addresses[convolutions.TARGET])),
        addresses[convolutions.BIAS],
        spec.activation,
        spec.slope,
        added=None if spec.added is None else (spec.added, addresses[convolutions.ADDED]),
    )

    def both() -> None:
        cudnn.execute(library, handle, plan, pack)
        finish()

    return both
