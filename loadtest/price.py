"""What the ensemble costs over less, and saves over more: `python -m loadtest.price`.

Every scenario runs once a round on the same frames; ratios are taken within a round, because
machines differ, and each of them from minute to minute.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from yolostream import Detector
from yolostream.client.connection import connect
from yolostream.client.detector import DEFAULT_MODEL, Transport
from yolostream.pipeline.plan import IN_FLIGHT

from loadtest import result_file
from loadtest.bare import Tensor, bare_network
from loadtest.batching import write_variants
from loadtest.client_side import letterboxed, sender, suppressor
from loadtest.frames import demo_frames
from loadtest.network import network
from loadtest.observation import observe
from loadtest.quartiles import ratios
from loadtest.repository import MODELS, RESULTS_FOLDER
from loadtest.scenarios import Scenario
from loadtest.server import Target, served
from tools.command import one_line_errors
from tools.evaluation.variant import served_thresholds

RESULTS = RESULTS_FOLDER / "price.json"
BUSY = 2 * IN_FLIGHT
"""Frames in flight that never let the network wait for one."""

_TIMEOUT_S = 30.0
console = Console(stderr=True)


def main(
    url: Annotated[
        str | None, typer.Option(help="gRPC address of a Triton. By default one is started here.")
    ] = None,
    model: Annotated[str, typer.Option(help="Name of the ensemble.")] = DEFAULT_MODEL,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of each measurement.")] = 1.2,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; medians are reported.")] = 8,
    quick: Annotated[bool, typer.Option("--quick", help="One short round.")] = False,
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
) -> None:
    """Compare the ensemble with less, with more, and with other settings for batches.

    With --url the bare network and the other settings are left out: they need a server of our own.
    """
    if quick:
        seconds, rounds = 0.5, 1
    with contextlib.ExitStack() as stack:
        target, variants = stack.enter_context(_serving(url, model))
        figures = stack.enter_context(
            result_file.writing(output, tool="loadtest.price", url=target.url)
        )
        scenarios = stack.enter_context(
            _scenarios(target.url, model, variants, with_bare=url is None)
        )
        in_flight = {name: scenario.in_flight for name, scenario in scenarios.items()}
        results: list[dict[str, Any]] = []
        with Progress(console=console) as bar, connect(target.url) as client:
            for number in bar.track(range(rounds), description="rounds"):
                results.append({})
                # There and back: a machine that slows down is unkind to the last and the first.
                for name in list(scenarios)[:: 1 if number % 2 == 0 else -1]:
                    results[-1][name] = observe(scenarios[name], seconds, client, target.url)
                    # Not before there is one: what an interrupted run leaves has figures in it.
                    figures.update(seconds=seconds, in_flight=in_flight, turns=results)
                    console.print(f"{name}: {results[-1][name]['frames_per_s']:.1f} frames/s")
    for name, ratio in ratios(results).items():
        console.print(f"{name}: {ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})")


@contextlib.contextmanager
def _serving(url: str | None, model: str) -> Iterator[tuple[Target, dict[str, str]]]:
    """The server, and names of the ensemble's variants in it by their setting."""
    if url is not None:
        with served(url, model=model) as target:
            yield target, {}
        return
    with tempfile.TemporaryDirectory() as folder:
        variants = write_variants(model, Path(folder))
        with served(
            None, model=model, more_models=[*variants.values()], more_repositories=[Path(folder)]
        ) as target:
            yield target, variants


@contextlib.contextmanager
def _scenarios(
    url: str, model: str, variants: dict[str, str], *, with_bare: bool
) -> Iterator[dict[str, Scenario]]:
    frames = demo_frames()
    with contextlib.ExitStack() as stack:

        def ensemble(name: str, in_flight: int, transport: Transport = "auto") -> Scenario:
            detector = Detector(url, name, max_in_flight=in_flight, transport=transport)
            stack.enter_context(detector)
            return Scenario(frames, detector.submit, in_flight, detector.model.steps)

        def send(in_flight: int, *, shared_memory: bool) -> Callable[[Tensor], Future[Tensor]]:
            return stack.enter_context(
                network(url, step, in_flight=in_flight, shared_memory=shared_memory)
            )

        def client_side(in_flight: int) -> Scenario:
            submit = sender(send(in_flight, shared_memory=False), shape)
            return Scenario(frames, submit, in_flight, (step,), suppress)

        described = stack.enter_context(Detector(url, model, max_in_flight=1))
        step, suppression = described.model.steps[1], described.model.steps[-1]
        shape = described.model.input_size
        suppress = suppressor(served_thresholds(url, suppression, timeout_s=_TIMEOUT_S))
        tensors = [letterboxed(frame, shape)[0] for frame in frames]
        local = described.transport == "shared-memory"
        yield {
            **(_bare(step, tensors) if with_bare else {}),
            "network": Scenario(tensors, send(BUSY, shared_memory=local), BUSY, (step,)),
            "network_grpc": Scenario(tensors, send(BUSY, shared_memory=False), BUSY, (step,)),
            "ensemble": ensemble(model, BUSY),
            "ensemble_grpc": ensemble(model, BUSY, "grpc"),
            **{setting: ensemble(name, BUSY) for setting, name in variants.items()},
            "client_side": client_side(BUSY),
            "one_camera": ensemble(model, IN_FLIGHT),
            "one_at_a_time": ensemble(model, 1),
            "one_at_a_time_grpc": ensemble(model, 1, "grpc"),
            "usual": client_side(1),
        }


def _bare(step: str, tensors: list[Tensor]) -> dict[str, Scenario]:
    """The network in this process: one session with all cores, and one session a core."""
    model = MODELS / step / "1" / "model.onnx"
    cores = len(os.sched_getaffinity(0))
    return {
        "bare": Scenario(tensors, bare_network(model, sessions=1, threads=cores), 2),
        "bare_sessions": Scenario(
            tensors, bare_network(model, sessions=cores, threads=1), 2 * cores
        ),
    }


if __name__ == "__main__":
    with one_line_errors():
        typer.run(main)
