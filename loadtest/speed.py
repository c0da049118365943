"""What server and client cost over a bare ONNX Runtime loop: `python -m loadtest.speed`.

Each figure is a ratio within one round, because machines differ, and change from minute to minute.
"""

from __future__ import annotations

import json
import os
import queue
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import typer
from yolostream import Detector
from yolostream.client.detector import DEFAULT_MODEL
from yolostream.image import Image
from yolostream.pipeline.plan import IN_FLIGHT

from loadtest.clips import CLIPS, demo_frames
from loadtest.errors import LoadTestError
from loadtest.options import Output, workplace
from loadtest.processes import last_words, memory_mb
from loadtest.repository import MODELS, NETWORK, PREPROCESS, RESULTS_FOLDER
from loadtest.result_file import Content, say, writing
from loadtest.server import served
from loadtest.table import Bar, table
from tools.bare import pure_module

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
        workplace() as work,
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
            bare = {name: _rate(loop, seconds) for name, loop in loops.items()}
            measured.append(_round(bare, detector, frames, seconds, work / f"{number}"))
            figures["median"] = {
                name: statistics.median(one[name] for one in measured) for name in measured[0]
            }
            say(f"round {number + 1} of {rounds}: {measured[-1]}")
        figures["memory"] = _memory(detector, server.pids, frames, soak_frames)
    typer.echo(section({"figures": figures}))


def _round(
    bare: dict[str, float], detector: Detector, frames: list[Image], seconds: float, folder: Path
) -> dict[str, float]:
    """Measure everything else close in time, and divide by the faster bare loop."""
    bare_rate = max(bare.values())
    used_before, started = time.process_time(), time.perf_counter()
    answers = detector.stream(cycle(frames), in_flight=IN_FLIGHT * len(CLIPS))
    ensemble_rate = _rate(answers, seconds)
    answered = ensemble_rate * (time.perf_counter() - started)
    client_ms = 1000 * (time.process_time() - used_before) / answered
    pair_rate = _pair_rate(detector.url, folder)
    return {
        "bare_frames_per_s": round(bare_rate, 2),
        **{f"{name}_frames_per_s": round(rate, 2) for name, rate in bare.items()},
        "ensemble_frames_per_s": round(ensemble_rate, 2),
        "detect_frames_per_s": round(pair_rate, 2),
        "ensemble_over_bare": round(ensemble_rate / bare_rate, 3),
        "detect_over_bare": round(pair_rate / bare_rate, 3),
        "client_cpu_ms_per_frame": round(client_ms, 2),
    }


def _rate(work: Iterator[Any], seconds: float) -> float:
    """Items per second of `work`, measured for `seconds` after the first few items."""
    for _ in islice(work, _WARM_UP):
        pass
    count, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        next(work)
        count += 1
    return count / elapsed


def _bare_loop(tensors: list[Tensor], *, sessions: int, threads: int) -> Iterator[None]:
    """Run the network alone on ready-made tensors, and yield after each."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    free: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for _ in range(sessions):
        free.put(onnxruntime.InferenceSession(MODELS / NETWORK / "1" / "model.onnx", options))

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
    """A frame as the network sees it: float32 [1, 3, 640, 640], 0..1."""
    tensor = np.empty((1, 3, 640, 640), np.float32)
    pure_module(MODELS / PREPROCESS, "letterbox").letterbox(frame, tensor[0])
    return tensor


def _pair_rate(url: str, folder: Path) -> float:
    """Frames per second of `detect` on both demo clips, everything written."""
    summary = folder / "summary.json"
    places = ["--url", url, "--output", str(folder / "results"), "--summary", str(summary)]
    command = [sys.executable, "-m", "yolostream", "detect", "--demo", *places]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LoadTestError(f"detect ended with {done.returncode}: {last_words(done.stderr)}")
    return float(json.loads(summary.read_text(encoding="utf-8"))["frames_per_s"])


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
    rows = [
        Bar().row(
            "the ensemble over the faster bare ONNX Runtime loop, frames/s",
            median["ensemble_over_bare"],
        ),
        Bar(at_least=0.85).row(
            "`detect` on the demo pair, everything written, over the same loop",
            median["detect_over_bare"],
        ),
        Bar(" ms", 1, at_most=4).row(
            "the client's own processor time a frame, 640x360", median["client_cpu_ms_per_frame"]
        ),
        Bar(" MB", 0, at_most=1500).row(
            f"memory of client and server together, most over {memory['frames']:,} frames",
            max(used_mb),
        ),
        Bar(words="flat").row("the same, last tenth over second tenth of those frames", growth),
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
