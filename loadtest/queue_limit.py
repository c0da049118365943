"""What a queue limit costs a quick step: `python -m loadtest.queue_limit`.

With `max_queue_size`, Triton hands a step its next request only once the step is idle, and misses
the moment now and then: the request then waits until half a second is over or another one comes.
That is why `preprocess` and `nms` have none. This shows it of `nms`, with a limit and as shipped.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from google.protobuf import text_format
from rich.console import Console
from tritonclient.grpc import InferenceServerClient, InferInput
from yolostream.client.connection import connect
from yolostream.client.detector import DEFAULT_MODEL
from yolostream.client.triton_errors import translated

from loadtest import result_file
from loadtest.frames import demo_frames
from loadtest.perf import inputs
from loadtest.perf.points import DOWNSCALED
from loadtest.repository import MODELS, RESULTS_FOLDER
from loadtest.server import served
from tools.command import one_line_errors
from tools.model_folders.files import configs_of, read_config

RESULTS = RESULTS_FOLDER / "queue_limit.json"
STEP, LIMITED = "nms", "nms_limited"
LIMIT = 128
IN_FLIGHT = 2
STALL_S = 0.4
"""Nothing but a missed moment makes a request of a millisecond wait so long."""

_TIMEOUT_S = 30.0
console = Console(stderr=True)


def main(
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of each measurement.")] = 5.0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds.")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="One round of a second.")] = False,
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
) -> None:
    """Compare a quick step with a queue limit and without, in turns, on a server of its own."""
    if quick:
        seconds, rounds = 1.0, 1
    with tempfile.TemporaryDirectory() as folder:
        _write_limited(Path(folder) / LIMITED)
        with (
            served(
                None, model=DEFAULT_MODEL, more_models=[LIMITED], more_repositories=[Path(folder)]
            ) as target,
            result_file.writing(output, tool="loadtest.queue_limit", url=target.url) as figures,
        ):
            sent = inputs.requests(target.url, DEFAULT_MODEL, demo_frames(size=DOWNSCALED)[:1])
            results = []
            for _ in range(rounds):
                result = {
                    model: _measure(target.url, model, sent[STEP][0], seconds)
                    for model in (LIMITED, STEP)
                }
                results.append(result)
                # Not before there is one: what an interrupted run leaves has figures in it.
                figures.update(in_flight=IN_FLIGHT, limit=LIMIT, stall_s=STALL_S, turns=results)
                console.print(result)


def _write_limited(folder: Path) -> None:
    """Copy the step, and give it a queue limit."""
    shutil.copytree(MODELS / STEP, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in configs_of(folder):
        config = read_config(folder / path)
        config.name = folder.name
        config.dynamic_batching.default_queue_policy.max_queue_size = LIMIT
        (folder / path).write_text(text_format.MessageToString(config), encoding="utf-8")


def _measure(url: str, model: str, request: inputs.Tensors, seconds: float) -> dict[str, Any]:
    """Ask again and again, `IN_FLIGHT` at once."""
    tensors = []
    for name, array in request.items():
        tensors.append(InferInput(name, list(array.shape), "FP32"))
        tensors[-1].set_data_from_numpy(array)
    latencies_s: list[float] = []

    def ask(client: InferenceServerClient) -> None:
        while (asked := time.perf_counter()) < ends:
            client.infer(model, tensors, client_timeout=_TIMEOUT_S)
            latencies_s.append(time.perf_counter() - asked)

    with translated(url, model), connect(url) as client, ThreadPoolExecutor(IN_FLIGHT) as pool:
        ends = time.perf_counter() + seconds
        # A list, so that an error in a thread is raised here.
        list(pool.map(ask, [client] * IN_FLIGHT))
    p50, p99 = np.percentile(latencies_s, [50, 99])
    return {
        "requests": len(latencies_s),
        "requests_per_s": round(len(latencies_s) / seconds, 1),
        "p50_ms": round(1000 * p50, 2),
        "p99_ms": round(1000 * p99, 2),
        "stalls": sum(latency > STALL_S for latency in latencies_s),
    }


if __name__ == "__main__":
    with one_line_errors():
        typer.run(main)
