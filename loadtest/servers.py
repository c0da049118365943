"""Measures frames/s through one, two and three servers: `python -m loadtest.servers`.

Without a GPU, the servers have a model that answers at once, so one client and the messages are
measured, and all processes share the cores of this machine. With `--profile`, each GPU of this
machine has a server of its own, which detects for several clients.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Annotated
from unittest import mock

import numpy as np
import typer
from yolostream import Detector
from yolostream.client.ensemble import Transport
from yolostream.server import embedded
from yolostream.server.gpus import gpu_numbers

from loadtest.errors import GpuError
from loadtest.repository import ENSEMBLE, MODELS, SERVER_ENVIRONMENT
from tests.instant import MODEL, serve_instant
from tools.command import one_line_errors

_MOST_INSTANT_SERVERS = 3
_ROUNDS = 5
_SECONDS = 3.0
_IN_FLIGHT = 24
_CLIENTS_PER_GPU, _IN_FLIGHT_OF_EACH = 6, 8
_FRAME = np.full((360, 640, 3), 114, np.uint8)
"""The client sends a frame of 1280x720 in this size."""


def frames_per_second(urls: list[str], model: str, transport: Transport, in_flight: int) -> float:
    """The rate of one client that sends frames to these servers."""
    with Detector(urls, model, transport=transport, max_in_flight=in_flight) as detector:
        pending = deque(detector.submit(_FRAME) for _ in range(in_flight))
        started, answered = time.perf_counter(), 0
        while time.perf_counter() - started < _SECONDS:
            pending.popleft().result()
            answered += 1
            pending.append(detector.submit(_FRAME))
        return answered / (time.perf_counter() - started)


@contextlib.contextmanager
def _instant_servers() -> Iterator[list[str]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(serve_instant()).url for _ in range(_MOST_INSTANT_SERVERS)]


@contextlib.contextmanager
def _servers_on_gpus(profile: embedded.Profile) -> Iterator[list[str]]:
    numbers = gpu_numbers()
    if not numbers:
        raise GpuError("no NVIDIA GPU here: run it on one, or without --profile")
    # The variable may choose among the GPUs already.
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, numbers))).split(",")
    with contextlib.ExitStack() as stack:
        urls = []
        for gpu in chosen[: len(numbers)]:
            with mock.patch.dict(os.environ, CUDA_VISIBLE_DEVICES=gpu.strip()):
                server = embedded.serve(
                    MODELS, environment=SERVER_ENVIRONMENT, models=[ENSEMBLE], profile=profile
                )
                urls.append(stack.enter_context(server).url)
        yield urls


def main(
    profile: Annotated[
        embedded.Profile | None, typer.Option(help="Of a server on each GPU of this machine.")
    ] = None,
) -> None:
    """Print the median of several rounds for each number of servers."""
    on_gpu = profile is not None
    servers = _servers_on_gpus(profile) if profile else _instant_servers()
    measure = partial(
        frames_per_second,
        model=ENSEMBLE if on_gpu else MODEL,
        transport="shared-memory" if on_gpu else "grpc",
        in_flight=_IN_FLIGHT_OF_EACH if on_gpu else _IN_FLIGHT,
    )
    with one_line_errors(), servers as urls:
        clients = _CLIENTS_PER_GPU * len(urls) if on_gpu else 1
        for n, rates in _rounds(measure, urls, clients).items():
            typer.echo(
                f"{n} servers, {clients} clients: {statistics.median(rates):.0f} frames/s "
                f"({min(rates):.0f} to {max(rates):.0f})"
            )


def _rounds(
    measure: Callable[[list[str]], float], urls: list[str], clients: int
) -> dict[int, list[float]]:
    """By number of servers, the frames/s of all clients together in each round."""
    rates: dict[int, list[float]] = {n: [] for n in range(1, len(urls) + 1)}
    # A process that is forked must not use gRPC.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(clients, mp_context=context) as pool:
        for number in range(1 + _ROUNDS):
            for n, of_n in rates.items():
                rate = sum(pool.map(measure, [urls[:n]] * clients))
                # The first round starts the processes, and does not count.
                if number > 0:
                    of_n.append(rate)
    return rates


if __name__ == "__main__":
    typer.run(main)
