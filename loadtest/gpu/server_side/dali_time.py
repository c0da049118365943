"""`preprocess` as a DALI pipeline, beside the CUDA kernel, in turns in one process.

Takes one argument, the version folder of `preprocess` with a further module `dali_letterbox`. It
prints a line of JSON for each size of frame, memory and batch, with medians: `gpu_us`, microseconds
a frame of kernels and copies on the GPU; `ms`, from the call until the images are there; and
`gray_levels`, the largest difference of a pixel.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cupy as cp
import numpy as np
import torch
from model_code import load  # type: ignore[import-not-found]  # lies beside this program

IMAGE_SHAPE = (3, 640, 640)
MAX_BATCH = 16
REPEATS = 200
ROUNDS = 5


def main() -> None:
    """Measure both ways."""
    folder = Path(sys.argv[1])
    ways = {
        name: load(folder, module).CudaLetterbox(IMAGE_SHAPE, max_batch=MAX_BATCH)
        for name, module in (("cuda", "letterbox_cuda"), ("dali", "dali_letterbox"))
    }
    noise = np.random.default_rng(0)
    for height, width in ((360, 640), (1080, 1920)):
        for memory in ("host", "gpu"):
            for batch in (1, MAX_BATCH):
                made = [
                    noise.integers(0, 256, (1, height, width, 3), np.uint8) for _ in range(batch)
                ]
                frames = [cp.asarray(f) if memory == "gpu" else _locked(f) for f in made]
                figures = _figures(ways, frames)
                of = {"frame": [height, width], "memory": memory, "batch": batch}
                sys.stdout.write(f"{json.dumps({**of, **figures})}\n")


def _locked(frame: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The same frame in page-locked memory, as Triton gives it."""
    place = np.frombuffer(cp.cuda.alloc_pinned_memory(frame.nbytes), np.uint8, frame.nbytes)
    place = place.reshape(frame.shape)
    place[:] = frame
    return place


def _figures(ways: dict[str, Any], frames: list[Any]) -> dict[str, Any]:
    stream = cp.cuda.Stream(non_blocking=True)
    with stream:
        images = {name: way(frames)[0].copy() for name, way in ways.items()}
        stream.synchronize()
        apart = 255 * float(cp.abs(images["cuda"] - images["dali"]).max())
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                times[name] += _times_ms(way, frames, stream)
        gpu = {name: _gpu_us(way, frames, stream) / len(frames) for name, way in ways.items()}
    return {
        "gpu_us": {name: round(us, 2) for name, us in gpu.items()},
        "ms": {name: round(statistics.median(one), 4) for name, one in times.items()},
        "gray_levels": round(apart, 2),
    }


def _times_ms(way: Callable[[Any], Any], frames: list[Any], stream: Any) -> list[float]:
    times = []
    for number in range(REPEATS):
        started = time.perf_counter()
        way(frames)
        stream.synchronize()
        if number >= REPEATS // 10:
            times.append(1000 * (time.perf_counter() - started))
    return times


def _gpu_us(way: Callable[[Any], Any], frames: list[Any], stream: Any) -> float:
    """Microseconds that the GPU works for one call."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(REPEATS):
            way(frames)
        stream.synchronize()
    events = [event for event in profile.events() if "CUDA" in str(event.device_type)]
    return float(sum(event.device_time for event in events)) / REPEATS


if __name__ == "__main__":
    main()
