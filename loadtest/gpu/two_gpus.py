"""What a second GPU adds: `python -m loadtest.gpu.two_gpus`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from loadtest.errors import GpuError
from loadtest.gpu import bench, lengths, profiles, requests
from loadtest.gpu.bench import Bench
from loadtest.gpu.facts import facts
from loadtest.gpu.measuring import line, serving
from loadtest.gpu.model_folders import ENSEMBLE, STEPS
from loadtest.gpu.profiles import Profile
from loadtest.gpu.watch import watched
from loadtest.perf.measurement import measure_once
from loadtest.perf.points import Point
from loadtest.repository import REPOSITORY, RESULTS_FOLDER, SERVER_ENVIRONMENT
from loadtest.result_file import writing
from tools.command import one_line_errors

RESULTS = RESULTS_FOLDER / "gpu_two.json"
BAR = 1.8
POINTS = {"streams": Point(ENSEMBLE, "system", 128), "batches": Point(ENSEMBLE, "system", 16, 8)}
"""Twice as much in flight as keeps one GPU busy."""

_VISIBLE = "CUDA_VISIBLE_DEVICES"


def main(
    profile: Annotated[str, typer.Option(help="To measure.")] = "onnx-gpu",
    quick: Annotated[bool, typer.Option("--quick", help="Short windows: rough figures.")] = False,
    server_environment: Annotated[
        Path, typer.Option(help="Virtual environment of the server.")
    ] = SERVER_ENVIRONMENT,
    onnx: Annotated[
        Path | None,
        typer.Option(help="The network; made there if it is missing, which needs PyTorch."),
    ] = None,
    raw: Annotated[Path, typer.Option(help="What perf_analyzer wrote goes into here.")] = (
        REPOSITORY / "output" / "gpu_two"
    ),
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
) -> None:
    """Ask a server on one GPU, then one on two, the same."""
    with one_line_errors(), tempfile.TemporaryDirectory(prefix="gpu-") as scratch:
        (chosen,), work = profiles.chosen([profile]), Path(scratch)
        if len(facts(server_environment)["gpus"]) < 2:
            raise GpuError("this machine has no second GPU: run it on one that has")
        with writing(output, tool="loadtest.gpu.two_gpus") as figures:
            network = bench.network(onnx or work / "model.onnx")
            ready = bench.prepare(
                work,
                network=network.path,
                environment=server_environment,
                raw=raw,
                lengths=lengths.QUICK if quick else lengths.FULL,
            )
            figures["gpu"], figures["network"] = facts(server_environment), network.facts()
            figures["profile"] = chosen.name
            for visible in ("0", "0,1"):
                figures[visible] = _measured(ready, chosen, visible)
            figures["ratios"] = {
                row: figures["0,1"][row]["frames_per_s"] / figures["0"][row]["frames_per_s"]
                for row in POINTS
            }
        for row, ratio in figures["ratios"].items():
            typer.echo(f"{row}: {ratio:.2f} times one GPU (bar: {BAR})")


def _measured(ready: Bench, profile: Profile, visible: str) -> dict[str, Any]:
    """Each row of `POINTS` on a server that sees these GPUs."""
    measured: dict[str, Any] = {}
    os.environ[_VISIBLE] = visible
    try:
        with serving(ready, profile.name) as target:
            load = requests.loads(ready.perf, target.url, ENSEMBLE, ready.work)
            for row, point in POINTS.items():
                with watched(target, STEPS) as seen:
                    found = measure_once(
                        load(point.size),
                        point,
                        ready.raw / visible / row,
                        window_s=ready.lengths.window_s,
                    )
                ready.say(f"GPUs {visible}, {row}: {line(found)}")
                measured[row] = {**found, "watched": seen}
    finally:
        del os.environ[_VISIBLE]
    return measured


if __name__ == "__main__":
    typer.run(main)
