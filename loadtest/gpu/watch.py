"""What the server was doing while it was measured, so that a missed bar can be explained."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psutil
from tritonclient.grpc import InferenceServerClient
from yolostream.client.connection import connect
from yolostream.client.triton_errors import translated

from loadtest.gpu.nvidia_smi import sampled
from loadtest.server import Target

_TIMEOUT_S = 10.0


@contextlib.contextmanager
def watched(target: Target, models: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Watch a server inside the block.

    Args:
        target: The server.
        models: Whose batches are told.

    Yields:
        Empty; after the block `batch_sizes`, how often each model has run on a batch of which
        size; `cpu_ms_per_frame`, processor time of each of the server's processes in milliseconds;
        and `gpu`, what `loadtest.gpu.nvidia_smi` saw.

    Raises:
        ServerError: The server does not tell, or is away.
    """
    seen: dict[str, Any] = {}
    before, cpu_before_s = _batches(target, models), cpu_s_by_name(target.pids)
    with sampled() as gpu:
        yield seen
    cpu_after_s, after = cpu_s_by_name(target.pids), _batches(target, models)
    seen["batch_sizes"] = {model: since(after[model], before[model]) for model in models}
    # Not by the second: before and after it sends, perf_analyzer reads and writes.
    frames = max(1, frames_of(seen["batch_sizes"][models[-1]]))
    seen["cpu_ms_per_frame"] = {
        name: round(1000 * (now_s - cpu_before_s.get(name, 0.0)) / frames, 3)
        for name, now_s in cpu_after_s.items()
        if now_s > cpu_before_s.get(name, 0.0)
    }
    seen["gpu"] = gpu


def frames_of(batch_sizes: Mapping[str, int]) -> int:
    """Frames in so many batches of each size."""
    return sum(int(size) * count for size, count in batch_sizes.items())


def batches_of(client: InferenceServerClient, model: str, url: str) -> dict[int, int]:
    """How often a model has run on a batch of which size since it was loaded.

    Raises:
        ServerError: The server does not tell, or is away.
    """
    with translated(url, model):
        (stats,) = client.get_inference_statistics(model, client_timeout=_TIMEOUT_S).model_stats
    return {batch.batch_size: batch.compute_infer.count for batch in stats.batch_stats}


def since(now: Mapping[int, int], before: Mapping[int, int]) -> dict[str, int]:
    """What came after `before`, smallest size first; JSON has no keys but text."""
    between = {size: count - before.get(size, 0) for size, count in sorted(now.items())}
    return {str(size): count for size, count in between.items() if count}


def _batches(target: Target, models: Sequence[str]) -> dict[str, dict[int, int]]:
    with connect(target.url) as client:
        return {model: batches_of(client, model, target.url) for model in models}


def cpu_s_by_name(pids: Sequence[int]) -> dict[str, float]:
    """Processor time of each process so far, in seconds, by what it serves."""
    times: dict[str, float] = {}
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            spent = process.cpu_times()
            times[process_name(process.cmdline(), pid)] = float(spent.user + spent.system)
    return times


def process_name(command: Sequence[str], pid: int) -> str:
    """The model that a stub of the Python backend serves, with its process; else the program."""
    program = (command[0] if command else "unknown").rpartition("/")[2]
    model_file = next((part for part in command if part.endswith("/model.py")), None)
    served = model_file.split("/")[-3] if model_file else program
    return f"{served} ({pid})"
