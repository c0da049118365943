"""What the server, the client and the pipeline cost over a bare ONNX Runtime loop.

What is fast is measured in rounds within one run and given as ratios: machines differ, and each
of them from minute to minute. Run it as `python -m loadtest.speed`.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import psutil
import typer
from rich.console import Console
from yolostream import Detector
from yolostream.cli import detecting
from yolostream.client.detector import DEFAULT_MODEL
from yolostream.outputs.results import Results
from yolostream.pipeline.job import Job
from yolostream.pipeline.plan import IN_FLIGHT
from yolostream.pipeline.workers import workers_for
from yolostream.sources import find_sources

from loadtest.bare import Tensor, bare_network
from loadtest.frames import demo_frames
from loadtest.machine import machine
from loadtest.repository import MODELS, RESULTS_FOLDER, VIDEOS
from loadtest.server import served
from tools.command import one_line_errors

DETECTOR_FOLDER = MODELS / "yolov7_fp16"
PAIR = [str(VIDEOS / name) for name in ("mb1_1.mp4", "mb2_2.mp4")]
RESULTS = RESULTS_FOLDER / "speed.json"

Frames = list[npt.NDArray[np.uint8]]
console = Console(stderr=True)


def main(
    seconds: Annotated[float, typer.Option(help="Length of each measurement.")] = 10.0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; medians are reported.")] = 3,
    soak_frames: Annotated[int, typer.Option(help="Frames over which memory is watched.")] = 10_000,
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
) -> None:
    """Measure the ratios that the README quotes."""
    frames = demo_frames(size=(360, 640))
    with (
        served(None, model=DEFAULT_MODEL) as server,
        Detector(server.url) as detector,
    ):
        loops = _bare_loops(frames)
        results = []
        for number in range(rounds):
            results.append(_round(loops, detector, frames, seconds))
            console.print(f"round {number + 1} of {rounds}: {results[-1]}")
        memory = _memory(detector, server.pids, frames, soak_frames)
    figures = {
        "machine": machine(),
        "command": f"python -m loadtest.speed --seconds {seconds:g} --rounds {rounds} "
        f"--soak-frames {soak_frames}",
        "threads": len(os.sched_getaffinity(0)),
        "transport": detector.transport,
        "turns": results,
        "median": {key: statistics.median(result[key] for result in results) for key in results[0]},
        "memory": memory,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(figures, indent=1) + "\n")
    console.print(figures["median"])


def _round(
    loops: dict[str, Iterator[None]], detector: Detector, frames: Frames, seconds: float
) -> dict[str, float]:
    """Every measurement once, close together in time; over the faster one of the bare loops."""
    bare_rates = {name: _rate(loop, seconds) for name, loop in loops.items()}
    bare_rate = max(bare_rates.values())
    used_before = time.process_time()
    started = time.perf_counter()
    ensemble_rate = _rate(
        (None for _ in detector.stream(cycle(frames), in_flight=IN_FLIGHT * len(PAIR))), seconds
    )
    answered = ensemble_rate * (time.perf_counter() - started)
    client_ms = 1000 * (time.process_time() - used_before) / answered
    pair_rate = _pair_rate(detector)
    return {
        "bare_frames_per_s": round(bare_rate, 2),
        **{f"{name}_frames_per_s": round(rate, 2) for name, rate in bare_rates.items()},
        "ensemble_frames_per_s": round(ensemble_rate, 2),
        "detect_frames_per_s": round(pair_rate, 2),
        "ensemble_over_bare": round(ensemble_rate / bare_rate, 3),
        "detect_over_bare": round(pair_rate / bare_rate, 3),
        "client_cpu_ms_per_frame": round(client_ms, 2),
    }


def _rate(work: Iterator[None], seconds: float) -> float:
    """Items per second of `work`, after a short warm-up."""
    for _ in range(5):
        next(work)
    count, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        next(work)
        count += 1
    return count / elapsed


def _bare_loops(frames: Frames) -> dict[str, Iterator[None]]:
    """The same model on the same frames, ready-made tensors, nothing around it.

    Which of the two is faster, one session on all cores or one a core, depends on the machine.
    """
    cores = len(os.sched_getaffinity(0))
    tensors = [_tensor(frame) for frame in frames]
    return {
        "one_session": _bare_loop(tensors, sessions=1, threads=cores),
        "session_a_core": _bare_loop(tensors, sessions=cores, threads=1),
    }


def _bare_loop(tensors: list[Tensor], *, sessions: int, threads: int) -> Iterator[None]:
    model = DETECTOR_FOLDER / "1" / "model.onnx"
    run = bare_network(model, sessions=sessions, threads=threads)
    # One more than there are sessions, so that none of them waits.
    waiting = deque(run(tensors[0]) for _ in range(sessions + 1))
    for tensor in cycle(tensors):
        waiting.append(run(tensor))
        waiting.popleft().result()
        yield


def _tensor(frame: npt.NDArray[np.uint8]) -> Tensor:
    canvas = np.full((640, 640, 3), 114, np.uint8)
    canvas[140:500] = frame
    return np.ascontiguousarray(canvas.transpose(2, 0, 1)[np.newaxis]).astype(np.float32) / 255


def _pair_rate(detector: Detector) -> float:
    """Frames per second of `detect` on both demo clips, everything written."""
    sources, _ = find_sources(PAIR)
    with tempfile.TemporaryDirectory() as folder:
        report = detecting.run(
            sources,
            Job(Results(Path(folder))),
            partial(Detector, detector.url, detector.model.name),
            about=detector,
            workers=workers_for(len(sources)),
            console=console,
        )
    return report.frames / report.elapsed_s


def _memory(
    detector: Detector, server_pids: tuple[int, ...], frames: Frames, count: int
) -> dict[str, object]:
    """Memory of client and server together, shared pages once, while `count` frames pass."""
    samples = []
    every = max(1, count // 20)
    stream = detector.stream(cycle(frames))
    for number in range(count):
        next(stream)
        if number % every == 0:
            samples.append(round(_proportional_mb(server_pids), 1))
    return {"frames": count, "proportional_mb": samples}


def _proportional_mb(server_pids: tuple[int, ...]) -> float:
    processes = [psutil.Process(pid) for pid in (os.getpid(), *server_pids)]
    return float(sum(process.memory_full_info().pss for process in processes) / 1e6)


if __name__ == "__main__":
    with one_line_errors():
        typer.run(main)
