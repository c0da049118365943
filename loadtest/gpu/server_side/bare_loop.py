"""The engine in a loop, in one process, with nothing around it.

Takes one JSON argument: `folder` (of the network's `network.py`), `model`, `runtime`, `device`,
`batch_sizes`, `image_shape`, `rows`, `windows` and `window_s`. Its last line of output is JSON, by
batch size: `frames_per_s`, the median of the windows, `windows`, each of them, and `p50_ms` of one
run.
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

from model_code import load  # type: ignore[import-not-found]  # lies beside this program

WARM_UP_S = 0.3


def main() -> None:
    """Measure each batch size."""
    options = json.loads(sys.argv[1])
    open_network = _open_cpu if options["runtime"] == "cpu" else _open
    run = open_network(options)
    figures = {
        str(size): _measure(run, size, windows=options["windows"], window_s=options["window_s"])
        for size in options["batch_sizes"]
    }
    sys.stdout.write(f"{json.dumps(figures)}\n")


def _open(options: dict[str, Any]) -> Callable[[int], None]:
    """The network that the server serves, opened as the server opens it."""
    import cupy

    cupy.cuda.Device(options["device"]).use()
    network = load(Path(options["folder"]), "network").open_network(
        Path(options["model"]),
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


def _open_cpu(options: dict[str, Any]) -> Callable[[int], None]:
    """ONNX Runtime on all cores."""
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(options["model"], providers=["CPUExecutionProvider"])
    noise = np.random.default_rng(0)
    images = noise.random((max(options["batch_sizes"]), *options["image_shape"]), dtype=np.float32)

    def run(batch_size: int) -> None:
        session.run(["output"], {"input": images[:batch_size]})

    return run


def _measure(
    run: Callable[[int], None], size: int, *, windows: int, window_s: float
) -> dict[str, Any]:
    _window(run, size, WARM_UP_S)
    runs_s = [_window(run, size, window_s) for _ in range(windows)]
    rates = [size * len(window) / sum(window) for window in runs_s]
    return {
        "frames_per_s": round(statistics.median(rates), 2),
        "windows": [round(rate, 2) for rate in rates],
        "p50_ms": round(1000 * statistics.median(one for window in runs_s for one in window), 4),
    }


def _window(run: Callable[[int], None], size: int, seconds: float) -> list[float]:
    """Seconds of each run in turn, for so long."""
    times = [time.perf_counter()]
    while times[-1] < times[0] + seconds:
        run(size)
        times.append(time.perf_counter())
    return [after - before for before, after in pairwise(times)]


if __name__ == "__main__":
    main()
