"""GPU time of `preprocess` and `nms`, without a server and without the host's part.

Takes one JSON argument: `repository` (a model repository), `batch`, `repeats`, `candidates` (rows
of a frame above the threshold), `frame` (height and width in pixels), `image_shape`, `rows` and
`thresholds`. Its last line of output is JSON: `preprocess_us` and `nms_us`, medians of microseconds
a frame; and `batch` and `frame` as given.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cupy as cp
import numpy as np
from model_code import load  # type: ignore[import-not-found]  # lies beside this program

WARM_UPS = 20

# The host gets this much of a lead, so that kernels follow each other as they do under load.
_LEAD_CYCLES = 2_000_000
_LEAD = """
extern "C" __global__ void lead(long long cycles) {
    const long long start = clock64();
    while (clock64() - start < cycles) {}
}
"""


def main() -> None:
    """Measure both stages."""
    options = json.loads(sys.argv[1])
    batch = options["batch"]
    stages = {"preprocess_us": _preprocess(options), "nms_us": _nms(options)}
    figures = {
        name: round(1000 * statistics.median(_times_ms(call, options["repeats"])) / batch, 3)
        for name, call in stages.items()
    }
    said = json.dumps({**figures, "batch": batch, "frame": options["frame"]})
    sys.stdout.write(f"{said}\n")


def _preprocess(options: dict[str, Any]) -> Callable[[], Any]:
    module = load(Path(options["repository"], "preprocess", "1"), "letterbox_cuda")
    stage = module.CudaLetterbox(tuple(options["image_shape"]), max_batch=options["batch"])
    noise = np.random.default_rng(0)
    height, width = options["frame"]
    frames = [
        cp.asarray(noise.integers(0, 256, (1, height, width, 3), np.uint8))
        for _ in range(options["batch"])
    ]
    return lambda: stage(frames)


def _nms(options: dict[str, Any]) -> Callable[[], Any]:
    folder = Path(options["repository"], "nms", "1")
    thresholds = load(folder, "nms").Thresholds(**options["thresholds"])
    stage = load(folder, "nms_cuda").CudaNms(thresholds, max_batch=options["batch"])
    rows = [cp.asarray(_rows(options, seed)[None]) for seed in range(options["batch"])]
    _, height, width = options["image_shape"]
    letterbox = cp.asarray([[0, 0, width, height, 0, 0]], dtype=cp.float32)
    return lambda: stage(rows, [letterbox] * len(rows))


def _rows(options: dict[str, Any], seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
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
    lead = cp.RawKernel(_LEAD, "lead")
    times = []
    for number in range(WARM_UPS + repeats):
        before, after = cp.cuda.Event(), cp.cuda.Event()
        lead((1,), (1,), (np.int64(_LEAD_CYCLES),))
        before.record()
        call()
        after.record()
        after.synchronize()
        if number >= WARM_UPS:
            times.append(cp.cuda.get_elapsed_time(before, after))
    return times


if __name__ == "__main__":
    main()
