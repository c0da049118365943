"""Times the bare engine, or the GPU's part of the other steps, without a server.

Its arguments are the name of a function below, and a JSON object. Its last line of output is JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from model_code import load  # type: ignore[import-not-found]  # lies beside this program

Options = dict[str, Any]

_BARE_WARM_UP_S = 0.3
_WARM_UPS = 20

# The host gets this much of a lead, so that kernels follow each other as they do under load.
_LEAD_CYCLES = 2_000_000
_LEAD = """
extern "C" __global__ void lead(long long cycles) {
    const long long start = clock64();
    while (clock64() - start < cycles) {}
}
"""


def bare_loop(options: Options) -> dict[str, Any]:
    """Run the network in a loop, in one process, with nothing around it.

    Args:
        options: `folder` of the network's `network.py`, `runtime`, `batch_sizes`, `image_shape`
            (channels, height and width), `rows`, `windows` and `window_s`.

    Returns:
        By batch size: `frames_per_s`, the median of the windows; `windows`, each of them; and
        `p50_ms` of one run.
    """
    run = (_open_cpu if options["runtime"] == "cpu" else _open)(options)
    figures = {}
    for size in options["batch_sizes"]:
        _window(run, size, _BARE_WARM_UP_S)
        runs_s = [_window(run, size, options["window_s"]) for _ in range(options["windows"])]
        rates = [round(size * len(window) / sum(window), 2) for window in runs_s]
        p50_s = statistics.median(one for window in runs_s for one in window)
        figures[str(size)] = {
            "frames_per_s": statistics.median(rates),
            "windows": rates,
            "p50_ms": round(1000 * p50_s, 4),
        }
    return figures


def _open(options: Options) -> Callable[[int], Any]:
    """The network that the server serves, opened as the server opens it."""
    import cupy

    cupy.cuda.Device(0).use()
    folder = Path(options["folder"])
    network = load(folder, "network").open_network(
        folder / "model.onnx",
        runtime=options["runtime"],
        stream=cupy.cuda.Stream(non_blocking=True),
        batch_sizes=options["batch_sizes"],
        max_batch=options["batch_sizes"][-1],
        image_shape=tuple(options["image_shape"]),
        rows=options["rows"],
    )

    def run(batch_size: int) -> None:
        network.launch(batch_size)
        network.stream.synchronize()

    return run


def _open_cpu(options: Options) -> Callable[[int], Any]:
    """ONNX Runtime on all cores."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        f"{options['folder']}/model.onnx", providers=["CPUExecutionProvider"]
    )
    noise = np.random.default_rng(0)
    images = noise.random((max(options["batch_sizes"]), *options["image_shape"]), dtype=np.float32)
    return lambda batch_size: session.run(["output"], {"input": images[:batch_size]})


def _window(run: Callable[[int], Any], size: int, seconds: float) -> list[float]:
    """Seconds of each run in turn, for so long."""
    times = [time.perf_counter()]
    while times[-1] < times[0] + seconds:
        run(size)
        times.append(time.perf_counter())
    return [after - before for before, after in pairwise(times)]


def stages_time(options: Options) -> dict[str, Any]:
    """Measure the GPU time of `preprocess` and `nms`, without the host's part.

    Args:
        options: `repository` of models; `batch`, frames a call; `repeats`, calls; `candidates`,
            rows of a frame above the threshold; `frame`, height and width in pixels; `image_shape`
            and `rows` of the network; and `thresholds` of `nms`.

    Returns:
        `preprocess_us` and `nms_us`, medians in microseconds a frame; `batch` and `frame` as given.
    """
    stages = {"preprocess_us": _preprocess(options), "nms_us": _nms(options)}
    medians_ms = {
        name: statistics.median(_times_ms(call, options["repeats"]))
        for name, call in stages.items()
    }
    return {
        **{name: round(1000 * ms / options["batch"], 3) for name, ms in medians_ms.items()},
        "batch": options["batch"],
        "frame": options["frame"],
    }


def _preprocess(options: Options) -> Callable[[], Any]:
    import cupy

    module = load(Path(options["repository"], "preprocess", "1"), "letterbox_cuda")
    stage = module.CudaLetterbox(tuple(options["image_shape"]), max_batch=options["batch"])
    noise = np.random.default_rng(0)
    shape = (1, *options["frame"], 3)
    frames = [
        cupy.asarray(noise.integers(0, 256, shape, np.uint8)) for _ in range(options["batch"])
    ]
    return lambda: stage(frames)


def _nms(options: Options) -> Callable[[], Any]:
    import cupy

    folder = Path(options["repository"], "nms", "1")
    thresholds = load(folder, "nms").Thresholds(**options["thresholds"])
    stage = load(folder, "nms_cuda").CudaNms(thresholds, max_batch=options["batch"])
    rows = [cupy.asarray(_rows(options, seed)[None]) for seed in range(options["batch"])]
    _, height, width = options["image_shape"]
    letterbox = cupy.asarray([[0, 0, width, height, 0, 0]], dtype=cupy.float32)
    return lambda: stage(rows, [letterbox] * len(rows))


def _rows(options: Options, seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What a network answers: float32 [rows, 6], `candidates` of them above the threshold."""
    noise = np.random.default_rng(seed)
    rows, candidates = options["rows"], options["candidates"]
    _, height, width = options["image_shape"]
    threshold = options["thresholds"]["confidence"]
    corner = noise.uniform(0, (width, height), (rows, 2))
    size = noise.uniform(20, 120, (rows, 2))
    confidence = noise.uniform(0, threshold, (rows, 1))
    confidence[noise.choice(rows, candidates, replace=False)] = noise.uniform(
        threshold + 0.05, 1, (candidates, 1)
    )
    class_id = noise.integers(0, 80, (rows, 1))
    return np.hstack([corner, corner + size, confidence, class_id]).astype(np.float32)


def _times_ms(call: Callable[[], Any], repeats: int) -> list[float]:
    import cupy

    lead = cupy.RawKernel(_LEAD, "lead")
    times = []
    for _ in range(_WARM_UPS + repeats):
        before, after = cupy.cuda.Event(), cupy.cuda.Event()
        lead((1,), (1,), (np.int64(_LEAD_CYCLES),))
        before.record()
        call()
        after.record()
        after.synchronize()
        times.append(cupy.cuda.get_elapsed_time(before, after))
    return times[_WARM_UPS:]


if __name__ == "__main__":
    program = {"bare_loop": bare_loop, "stages_time": stages_time}[sys.argv[1]]
    sys.stdout.write(f"{json.dumps(program(json.loads(sys.argv[2])))}\n")
