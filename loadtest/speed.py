"""What server and client cost over a bare ONNX Runtime loop: `python -m loadtest.speed`.

Each figure is a ratio within one round, because machines differ, and change from minute to minute.
"""

from __future__ import annotations

import os
import queue
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import typer
from rich.console import Console
from yolostream import Detector
from yolostream.cli import detecting
from yolostream.client.detector import DEFAULT_MODEL
from yolostream.image import Image
from yolostream.outputs.results import Results
from yolostream.pipeline.job import Job
from yolostream.pipeline.plan import IN_FLIGHT
from yolostream.pipeline.workers import workers_for
from yolostream.sources import find_sources

from loadtest.clips import CLIPS
from loadtest.frames import demo_frames, rate
from loadtest.processes import memory_mb
from loadtest.repository import MODELS, RESULTS_FOLDER
from loadtest.result_file import Content, Output, say, writing
from loadtest.server import served
from loadtest.table import Bar, table
from tools.command import one_line_errors

NETWORK = MODELS / "yolov7_fp16" / "1" / "model.onnx"

_WARM_UP = 5

Tensor = npt.NDArray[np.float32]


def main(
    seconds: Annotated[float, typer.Option(help="Length of each measurement.")] = 10.0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; medians are reported.")] = 3,
    soak_frames: Annotated[int, typer.Option(help="Frames over which memory is watched.")] = 10_000,
    output: Output = RESULTS_FOLDER / "speed.json",
) -> None:
    """Measure the ratios that the pages quote."""
    frames = demo_frames(size=(360, 640))
    with (
        one_line_errors(),
        served(None, model=DEFAULT_MODEL) as server,
        Detector(server.url) as detector,
        writing(output, tool="loadtest.speed", url=server.url) as figures,
    ):
        cores = len(os.sched_getaffinity(0))
        tensors = [_tensor(frame) for frame in frames]
        # Which of the two is faster depends on the machine.
        loops = {
            "one_session": _bare_loop(tensors, sessions=1, threads=cores),
            "session_a_core": _bare_loop(tensors, sessions=cores, threads=1),
        }
        measured: list[dict[str, float]] = []
        figures |= {"threads": cores, "transport": detector.transport, "rounds": measured}
        for number in range(rounds):
            measured.append(_round(loops, detector, frames, seconds))
            figures["median"] = {
                name: statistics.median(one[name] for one in measured) for name in measured[0]
            }
            say(f"round {number + 1} of {rounds}: {measured[-1]}")
        figures["memory"] = _memory(detector, server.pids, frames, soak_frames)
    typer.echo(section({"figures": figures}))


def _round(
    loops: dict[str, Iterator[None]], detector: Detector, frames: list[Image], seconds: float
) -> dict[str, float]:
    """Measure everything once, close together in time, and divide by the faster bare loop."""
    bare_rates = {name: rate(loop, seconds, warm_up=_WARM_UP) for name, loop in loops.items()}
    bare_rate = max(bare_rates.values())
    used_before, started = time.process_time(), time.perf_counter()
    answers = detector.stream(cycle(frames), in_flight=IN_FLIGHT * len(CLIPS))
    ensemble_rate = rate(answers, seconds, warm_up=_WARM_UP)
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


def _bare_loop(tensors: list[Tensor], *, sessions: int, threads: int) -> Iterator[None]:
    """Run the network alone on ready-made tensors, and yield after each."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    free: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for _ in range(sessions):
        free.put(onnxruntime.InferenceSession(NETWORK, options))

    def run(tensor: Tensor) -> None:
        session = free.get()
        session.run(["output"], {"input": tensor})
        free.put(session)

    pool = ThreadPoolExecutor(sessions)
    # One more than there are sessions, so that none of them waits.
    waiting = deque(pool.submit(run, tensors[0]) for _ in range(sessions + 1))
    for tensor in cycle(tensors):
        waiting.append(pool.submit(run, tensor))
        waiting.popleft().result()
        yield


def _tensor(frame: Image) -> Tensor:
    canvas = np.full((640, 640, 3), 114, np.uint8)
    canvas[140:500] = frame
    planes = np.ascontiguousarray(canvas.transpose(2, 0, 1)[np.newaxis])
    return planes.astype(np.float32) / np.float32(255)


def _pair_rate(detector: Detector) -> float:
    """Frames per second of `detect` on both demo clips, everything written."""
    sources, _ = find_sources([str(clip) for clip in CLIPS])
    with tempfile.TemporaryDirectory() as folder:
        report = detecting.run(
            sources,
            Job(Results(Path(folder))),
            partial(Detector, detector.url, detector.model.name),
            about=detector,
            workers=workers_for(len(sources)),
            console=Console(stderr=True),
        )
    return report.frames / report.elapsed_s


def _memory(
    detector: Detector, server_pids: tuple[int, ...], frames: list[Image], count: int
) -> dict[str, object]:
    """Memory of client and server together, 20 times while `count` frames pass."""
    samples = []
    every = max(1, count // 20)
    stream = detector.stream(cycle(frames))
    for number in range(count):
        next(stream)
        if number % every == 0:
            samples.append(round(memory_mb((os.getpid(), *server_pids)), 1))
    return {"frames": count, "proportional_mb": samples}


def section(content: Content) -> str:
    """What was measured, compared with its bars, in Markdown."""
    figures = content["figures"]
    median, memory = figures["median"], figures["memory"]
    used_mb = memory["proportional_mb"]
    tenth = max(1, len(used_mb) // 10)
    growth = statistics.fmean(used_mb[-tenth:]) / statistics.fmean(used_mb[tenth : 2 * tenth])
    detect, client = Bar("at least", 0.85), Bar("at most", 4, " ms", 1)
    most = Bar("at most", 1500, " MB", 0)
    rows = [
        (
            "the ensemble over the faster bare ONNX Runtime loop, frames/s",
            "",
            f"{median['ensemble_over_bare']:.2f}",
        ),
        (
            "`detect` on the demo pair, everything written, over the same loop",
            str(detect),
            detect.judged(median["detect_over_bare"]),
        ),
        (
            "the client's own processor time a frame, 640x360",
            str(client),
            client.judged(median["client_cpu_ms_per_frame"]),
        ),
        (
            f"memory of client and server together, most over {memory['frames']:,} frames",
            str(most),
            most.judged(max(used_mb)),
        ),
        ("the same, last tenth over second tenth of those frames", "flat", f"{growth:.2f}"),
    ]
    return (
        f"{table(['', 'bar', 'measured'], rows)}\n\n"
        f"Medians of {len(figures['rounds'])} rounds, profile `cpu`, {figures['transport']}. Of "
        f"the bare loops, one session with {figures['threads']} threads did "
        f"{median['one_session_frames_per_s']:.0f} frames/s, and a session a core "
        f"{median['session_a_core_frames_per_s']:.0f}."
    )


if __name__ == "__main__":
    typer.run(main)
