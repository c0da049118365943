"""Compares ways to compute the network, in turns, in one process on one GPU.

It is for finding out what to serve: each way is prepared twice, from nothing and from what the
first time left, checked against float32, profiled, and timed beside the others. What fails is
reported with its traceback and leaves the others alone. Figures are written after each step, so
that a run which is broken off has taught something too.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from model_code import load  # type: ignore[import-not-found]  # lies beside this program

MODELS = Path(__file__).resolve().parents[3] / "model_repository"
FOLDER = MODELS / "yolov7_fp16" / "1"
SIZES = (1, 2, 4, 8, 16)
ROUNDS = 5
WINDOW_S = 0.3
SURE = 0.2
"""Confidence of rows that are compared by themselves."""


@dataclass
class Bench:
    """What all ways work on.

    Attributes:
        model: ONNX file.
        scratch: Folder for what they keep on disk.
        inputs: float32 [largest size, 3, H, W], on the GPU.
        outputs: float32 [largest size, rows, 6], likewise.
        stream: Where they compute.
        candidates: Most engines that are tried for a convolution with its activation.
    """

    model: Path
    scratch: Path
    inputs: Any
    outputs: Any
    stream: Any
    candidates: int
    peaks: list[float] = field(default_factory=list)

    def memory(self, sizes: Sequence[int]) -> dict[str, Any]:
        """As a runtime takes it."""
        return {
            "inputs": self.inputs,
            "outputs": self.outputs,
            "batch_sizes": sizes,
            "stream": self.stream,
        }


def part(name: str) -> Any:
    """A module of the network's folder."""
    return load(FOLDER, name)


def planned(
    bench: Bench, sizes: Sequence[int], *, float8: bool = False, last: int = 0, every: int = 0
) -> Any:
    """The planned network, in float16, or in float8 with the last launches in float16."""
    planner, precision, runtime, tuning, half = (
        part(name)
        for name in (
            "planned.planner",
            "planned.precision",
            "planned.runtime",
            "planned.tuning",
            "half",
        )
    )
    model = half.to_fp16(onnx.load(bench.model))
    shape = tuple(bench.inputs.shape[1:])
    plan = planner.plan_of(model, names=(half.INPUT, half.OUTPUT), image_shape=shape)
    kept = precision.half(plan)
    if float8:
        if not bench.peaks:
            raise RuntimeError("float8 needs the largest magnitudes, which 'planned' finds")
        kept = precision.float8(plan, bench.peaks, also=precision.last_written(plan, last))
    name = f"choices-{float8}-{last}-{every}"
    search = tuning.Search(fused=bench.candidates, every=every)
    memory = bench.memory(sizes)
    engine = runtime.Engine(plan, kept, **memory, choices=bench.scratch / name, search=search)
    if not float8:
        bench.peaks = engine.peaks(sizes[-1])
    return engine


def chained(model: onnx.ModelProto) -> onnx.ModelProto:
    """Make larger pools of smaller ones, as `planned.fusing` does."""
    pools: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in model.graph.node:
        if node.op_type == "MaxPool":
            pools[node.input[0]].append(node)
    for group in pools.values():
        sides = {_attribute(node, "kernel_shape")[0]: node for node in group}
        for smaller, larger in zip(sorted(sides), sorted(sides)[1:]):  # noqa: B905  # pairs
            node, left = sides[larger], larger - smaller + 1
            node.input[0] = sides[smaller].output[0]
            _attribute(node, "kernel_shape")[:] = [left] * 2
            _attribute(node, "pads")[:] = [left // 2] * 4
    part("half").OnnxModel.graph_topological_sort(model.graph)
    return model


def _attribute(node: onnx.NodeProto, name: str) -> Any:
    return next(one for one in node.attribute if one.name == name).ints


class Compiled:
    """PyTorch as `torch_runtime` has it, with other settings."""

    def __init__(
        self, bench: Bench, sizes: Sequence[int], *, mode: str | None = None, **config: Any
    ) -> None:
        import torch

        half, onnx_module = part("half"), part("onnx_module")
        torch._dynamo.reset()  # there is no other way
        torch.backends.cudnn.benchmark = True
        model = chained(half.to_fp16(onnx.load(bench.model)))
        module = onnx_module.module_of(model).eval().cuda()
        module = module.to(memory_format=torch.channels_last)
        stream = torch.cuda.ExternalStream(bench.stream.ptr)
        torch.cuda.set_stream(stream)
        self._graphs, pool = {}, torch.cuda.graph_pool_handle()
        settings = torch._inductor.config.patch(config)  # its name
        # Freezing is refused in inference mode.
        with torch.no_grad(), settings:
            compiled = torch.compile(module, dynamic=False, mode=mode)
            for size in reversed(sizes):
                images, rows = (
                    torch.from_dlpack(one[:size]) for one in (bench.inputs, bench.outputs)
                )
                for _ in range(3):
                    rows.copy_(compiled(images))
                self._graphs[size] = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self._graphs[size], pool=pool, stream=stream):
                    rows.copy_(compiled(images))
        bench.stream.synchronize()

    def launch(self, size: int) -> None:
        """Compute the first `size` rows."""
        self._graphs[size].replay()


def served(bench: Bench, sizes: Sequence[int]) -> Any:
    """What `torch-gpu` serves."""
    return part("torch_runtime").TorchRuntime(bench.model, **bench.memory(sizes))


def onnx_runtime(bench: Bench, sizes: Sequence[int]) -> Any:
    """What `onnx-gpu` serves."""
    return part("onnx_runtime").OnnxRuntime(bench.model, **bench.memory(sizes))


WAYS: dict[str, Callable[[Bench, Sequence[int]], Any]] = {
    "planned": planned,
    "float8": lambda bench, sizes: planned(bench, sizes, float8=True),
    "float8-last10": lambda bench, sizes: planned(bench, sizes, float8=True, last=10),
    "torch": served,
    "chained": Compiled,
    "freezing": lambda bench, sizes: Compiled(bench, sizes, freezing=True),
    "every": lambda bench, sizes: planned(bench, sizes, every=12),
    "float8-every": lambda bench, sizes: planned(bench, sizes, float8=True, every=12),
    "autotune": lambda bench, sizes: Compiled(
        bench,
        sizes,
        mode="max-autotune-no-cudagraphs",
        freezing=True,
        max_autotune_conv_backends="ATEN,TRITON",
    ),
    "onnx": onnx_runtime,
}
"""Ways to compute the network. `float8` needs `planned` before it."""
USUAL = ("planned", "float8", "torch:1,16", "chained:1,16", "freezing:1,16")
"""What is worth its time at first."""


def main() -> None:
    """Compare."""
    options = _options()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {"model": options.model.name, "machine": _machine(), "ways": {}}
    started = time.monotonic()

    def write() -> None:
        figures["seconds"] = round(time.monotonic() - started, 1)
        options.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")

    bench, reference = _opened(options, figures)
    write()
    ready: dict[str, tuple[Any, Sequence[int]]] = {}
    for way in options.ways:
        name, sizes = _way(way, options.sizes)
        facts = figures["ways"][name] = {"sizes": sizes}
        if time.monotonic() - started > options.deadline:
            facts["error"] = "no time was left"
            continue
        with _caught(facts, name):
            starts = ("cold",) if options.no_warm else ("cold", "warm")
            ready[name] = (_prepared(name, bench, sizes, facts, starts), sizes)
            facts["errors"] = _errors(bench, ready[name][0], sizes[-1], reference)
            facts["convolutions"] = _convolutions(ready[name][0], sizes)
        say(f"{name}: {json.dumps({key: facts.get(key) for key in _SAID})}")
        write()
    for size in options.sizes:
        running = {name: one for name, (one, sizes) in ready.items() if size in sizes}
        _race(bench, running, size, figures["ways"])
        write()
        say(_table(figures["ways"], size))
    for name, (one, sizes) in ready.items():
        facts = figures["ways"][name]
        with _caught(facts, f"{name}'s profile", key="profile_error"):
            facts["profile"] = {size: _profile(bench, one, size) for size in {sizes[0], sizes[-1]}}
        write()


_SAID = ("cold_s", "warm_s", "cold_parts_s", "errors", "error")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("model", type=Path, help="ONNX file")
    add("--output", type=Path, required=True, help="JSON file")
    add("--pictures", type=Path, help="folder of JPEGs; noise without it")
    add("--sizes", type=lambda text: [int(one) for one in text.split(",")], default=list(SIZES))
    add("--candidates", type=int, default=8, help="engines to try for each convolution")
    add("--deadline", type=float, default=400, help="seconds after which no way is prepared")
    add("--no-warm", action="store_true", help="prepare each way once only")
    add("--ways", nargs="+", default=list(USUAL), help="NAME or NAME:SIZE,SIZE")
    options = parser.parse_args()
    return options


def _way(text: str, sizes: list[int]) -> tuple[str, list[int]]:
    name, _, chosen = text.partition(":")
    if name not in WAYS:
        sys.exit(f"no way '{name}': choose among {', '.join(WAYS)}")
    return name, [int(one) for one in chosen.split(",")] if chosen else sizes


def _opened(options: argparse.Namespace, figures: dict[str, Any]) -> tuple[Bench, Any]:
    import cupy as cp
    import onnxruntime

    model = onnx.load(options.model)
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim][1:]
    rows = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    pictures = _pictures(options.pictures, options.sizes[-1], shape)
    session = onnxruntime.InferenceSession(str(options.model), providers=["CPUExecutionProvider"])
    start = time.perf_counter()
    reference = np.concatenate(
        [session.run(["output"], {"input": one[None]})[0] for one in pictures]
    )
    figures["reference_s"] = round(time.perf_counter() - start, 1)
    figures["sure_rows"] = int((reference[..., 4] > SURE).sum())
    bench = Bench(
        model=options.model,
        scratch=Path(tempfile.mkdtemp(prefix="networks-")),
        inputs=cp.asarray(pictures),
        outputs=cp.zeros((len(pictures), rows, 6), np.float32),
        stream=cp.cuda.Stream(non_blocking=True),
        candidates=options.candidates,
    )
    # What PyTorch compiled before may not help a cold start.
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(bench.scratch / "inductor")
    cp.cuda.Device().synchronize()
    return bench, reference


def _pictures(folder: Path | None, count: int, shape: Sequence[int]) -> Any:
    if folder is None:
        return np.random.default_rng(0).random((count, *shape), dtype=np.float32)
    import cv2

    found = [cv2.imread(str(path)) for path in sorted(folder.glob("*.jpg"))]
    chosen = [cv2.resize(found[n % len(found)], (shape[2], shape[1])) for n in range(count)]
    return np.stack([one[..., ::-1].transpose(2, 0, 1) for one in chosen]).astype(np.float32) / 255


@contextmanager
def _caught(facts: dict[str, Any], name: str, *, key: str = "error") -> Iterator[None]:
    """Note an error with its traceback, and go on."""
    try:
        yield
    except Exception as error:  # the others go on
        facts[key] = f"{type(error).__name__}: {error}"[:500]
        facts[f"{key}_trace"] = traceback.format_exc()[-6000:].splitlines()
        say(f"{name} FAILED: {facts[key]}")


def _prepared(
    name: str, bench: Bench, sizes: Sequence[int], facts: dict[str, Any], starts: Sequence[str]
) -> Any:
    """The way, prepared once for each start."""
    for start in starts:
        way: Any = None
        gc.collect()
        began = time.perf_counter()
        way = WAYS[name](bench, sizes)
        facts[f"{start}_s"] = round(time.perf_counter() - began, 2)
        if hasattr(way, "seconds"):
            facts[f"{start}_parts_s"] = dict(way.seconds)
            facts[f"{start}_tried"] = len(way.tuner.tried)
            facts[f"{start}_refused"] = len(way.tuner.refused)
            if start == "cold":
                facts["refused"] = Counter(
                    one.split(" for ")[0][:160] for one in way.tuner.refused
                ).most_common(30)
                facts["refused_whole"] = way.tuner.refused[:5]
                facts["all_tried"] = _every(way.tuner.tried)
    return way


def _every(tried: Sequence[tuple[Any, str, bool, float]]) -> list[dict[str, Any]]:
    """All that was timed, by convolution, best first; at most six each."""
    found: dict[Any, list[Any]] = defaultdict(list)
    for spec, engine, fused, microseconds in tried:
        found[spec].append([round(microseconds, 2), engine, "fused" if fused else "alone"])
    return [
        {"spec": repr(astuple(spec)), "tried": len(ways), "best": sorted(ways)[:6]}
        for spec, ways in found.items()
    ]


def _convolutions(way: Any, sizes: Sequence[int]) -> dict[str, Any] | None:
    """How each convolution is computed, and how much of the time and the GPU's peak that is."""
    if not hasattr(way, "tuned"):
        return None
    result = {}
    for size in sizes:
        rows = []
        for spec, tuned in way.tuned[size]:
            choice = tuned.choice
            work = (
                (2.0 * spec.batch * spec.target.height * spec.target.width * spec.target.channels)
                * spec.source.channels
                * spec.filter[0]
                * spec.filter[1]
            )
            rows.append(
                {
                    "channels": [spec.source.channels, spec.target.channels],
                    "side": spec.target.height,
                    "filter": spec.filter[0],
                    "stride": spec.strides[0],
                    "microseconds": round(choice.microseconds, 2),
                    "tflops": round(work / choice.microseconds / 1e6, 1),
                    "engine": choice.engine,
                    "fused": choice.fused,
                    "workspace": tuned.workspace,
                }
            )
        result[str(size)] = {
            "sum_us": round(sum(row["microseconds"] for row in rows), 1),
            "fused": sum(row["fused"] for row in rows),
            "rows": rows,
        }
    return result


def _errors(bench: Bench, way: Any, size: int, reference: Any) -> dict[str, float]:
    """Differences to float32."""
    import cupy as cp

    bench.outputs.fill(np.nan)
    cp.cuda.Device().synchronize()
    way.launch(size)
    bench.stream.synchronize()
    found, wanted = bench.outputs[:size].get(), reference[:size]
    sure = wanted[..., 4] > SURE
    apart = np.abs(found - wanted)
    figures = {
        "not_finite": float((~np.isfinite(found)).sum()),
        "box_mean": apart[..., :4].mean(),
        "box_max": apart[..., :4].max(),
        "confidence_max": apart[..., 4].max(),
        "class_differs": (found[..., 5] != wanted[..., 5]).mean(),
        "sure_box_max": apart[..., :4][sure].max(initial=0),
        "sure_box_mean": apart[..., :4][sure].mean() if sure.any() else 0,
        "sure_confidence_max": apart[..., 4][sure].max(initial=0),
        "sure_class_differs": (found[..., 5] != wanted[..., 5])[sure].mean() if sure.any() else 0,
    }
    return {name: round(float(value), 5) for name, value in figures.items()}


def _race(bench: Bench, ways: dict[str, Any], size: int, figures: dict[str, Any]) -> None:
    """Time all in turns: one run after the other with waiting, and without."""
    alone: dict[str, list[float]] = defaultdict(list)
    rows: dict[str, list[float]] = defaultdict(list)
    for way in ways.values():
        _window(bench, way, size, WINDOW_S / 3)
    for turn in range(ROUNDS):
        for name in list(ways) if turn % 2 else list(reversed(list(ways))):
            alone[name] += _window(bench, ways[name], size, WINDOW_S)
            rows[name].append(_in_a_row(bench, ways[name], size))
    for name in ways:
        p50 = statistics.median(alone[name])
        back_to_back = statistics.median(rows[name])
        figures[name].setdefault("times", {})[str(size)] = {
            "p50_ms": round(1000 * p50, 4),
            "frames_per_s": round(size / statistics.mean(alone[name]), 1),
            "gpu_ms": round(back_to_back, 4),
            "gpu_ms_rounds": [round(one, 4) for one in rows[name]],
            "gpu_frames_per_s": round(1000 * size / back_to_back, 1),
        }


def _window(bench: Bench, way: Any, size: int, seconds: float) -> list[float]:
    """Seconds of each run, waited for, for so long."""
    times, end = [], time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        way.launch(size)
        bench.stream.synchronize()
        times.append(time.perf_counter() - start)
    return times


def _in_a_row(bench: Bench, way: Any, size: int, runs: int = 20) -> float:
    """Milliseconds of one run among others on the GPU."""
    import cupy as cp

    start, end = cp.cuda.Event(), cp.cuda.Event()
    start.record(bench.stream)
    for _ in range(runs):
        way.launch(size)
    end.record(bench.stream)
    end.synchronize()
    return float(cp.cuda.get_elapsed_time(start, end)) / runs


def _profile(bench: Bench, way: Any, size: int) -> dict[str, Any]:
    """The kernels of one run, by name: how many, microseconds together."""
    import torch

    kinds = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as profile:
        for _ in range(3):
            way.launch(size)
        bench.stream.synchronize()
    found = [event for event in profile.events() if event.device_type.name == "CUDA"]
    total: Counter[str] = Counter()
    count: Counter[str] = Counter()
    for event in found:
        count[event.name] += 1
        total[event.name] += event.device_time_total
    return {
        "kernels": len(found) // 3,
        "us": round(sum(total.values()) / 3, 1),
        "by_name": [
            [name[:140], count[name] / 3, round(us / 3, 2)] for name, us in total.most_common(45)
        ],
    }


def _table(ways: dict[str, Any], size: int) -> str:
    lines = [f"{size} frames:"]
    base = ways.get("torch", {}).get("times", {}).get(str(size), {}).get("p50_ms")
    for name, facts in ways.items():
        if timed := facts.get("times", {}).get(str(size)):
            ratio = f"{base / timed['p50_ms']:.2f}x" if base else ""
            lines.append(
                f"  {name:14} {timed['p50_ms']:8.3f} ms {timed['frames_per_s']:8.0f} frames/s, "
                f"GPU {timed['gpu_ms']:8.3f} ms {ratio}"
            )
    return "\n".join(lines)


def _machine() -> dict[str, Any]:
    import cupy as cp

    runtime = cp.cuda.runtime
    facts = {"python": platform.python_version(), "cores": len(os.sched_getaffinity(0))}
    facts["gpu"] = runtime.getDeviceProperties(0)["name"].decode()
    facts["driver"], facts["cuda"] = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    facts["cudnn"] = part("planned.cudnn").Library().version
    try:
        import torch

        facts["torch"] = torch.__version__
    except ImportError:
        facts["torch"] = "none"
    return facts


def say(words: str) -> None:
    """Tell people how far it is."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
