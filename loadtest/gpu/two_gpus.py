"""What a second GPU adds: `python -m loadtest.gpu.two_gpus`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any
from unittest.mock import patch

import typer
from yolostream.server.gpus import gpu_numbers

from loadtest.errors import GpuError
from loadtest.gpu import bench, profiles
from loadtest.gpu.bench import POINTS, Bench
from loadtest.gpu.measuring import measure_watched, serving
from loadtest.gpu.profiles import Profile
from loadtest.perf import inputs
from loadtest.perf.report import line
from loadtest.repository import ENSEMBLE, REPOSITORY, RESULTS_FOLDER, SERVER_ENVIRONMENT
from loadtest.result_file import Output, say
from loadtest.table import Bar
from tools.command import one_line_errors

BAR = Bar("at least", 1.8)
"""Times the frames per second of one GPU."""
ROWS = ("streams", "batches")
FIRST = "streams_at_first"
"""Asked before the others: what the first frames after a start meet, apart from what follows."""

_VISIBLE = "CUDA_VISIBLE_DEVICES"


def main(
    profile: Annotated[str, typer.Option(help="To measure.")] = "onnx-gpu",
    quick: bench.Quick = False,
    server_environment: bench.Environment = SERVER_ENVIRONMENT,
    onnx: bench.Onnx = None,
    raw: bench.Raw = REPOSITORY / "output" / "gpu_two",
    output: Output = RESULTS_FOLDER / "gpu_two.json",
) -> None:
    """Ask a server on one GPU, then one on two, the same."""
    with one_line_errors():
        (chosen,) = profiles.chosen([profile])
        gpus = _gpus()
        if len(gpus) < 2:
            raise GpuError("this machine has no second GPU: run it on one that has")
        with bench.opened(
            output,
            tool="loadtest.gpu.two_gpus",
            onnx=onnx,
            environment=server_environment,
            raw=raw,
            quick=quick,
        ) as (ready, figures):
            figures |= {"profile": chosen.name, "one": {}, "two": {}}
            _measure(ready, chosen, gpus[:1], figures["one"])
            _measure(ready, chosen, gpus[:2], figures["two"])
        for row in ROWS:
            typer.echo(f"{row}: {_ratio(figures['two'][row], figures['one'][row])} ({BAR})")


def _ratio(two: dict[str, Any], one: dict[str, Any]) -> str:
    if "words" in two or "words" in one:
        return "failed"
    return f"{two['frames_per_s'] / one['frames_per_s']:.2f} times one GPU"


def _gpus() -> list[str]:
    """The GPUs of this process, as CUDA_VISIBLE_DEVICES names them."""
    given = os.environ.get(_VISIBLE)
    return [str(number) for number in gpu_numbers()] if given is None else given.split(",")


def _measure(ready: Bench, profile: Profile, gpus: Sequence[str], figures: dict[str, Any]) -> None:
    """Add each row of a server that sees these GPUs, with as much in flight for each of them."""
    seen = patch.dict(os.environ, {_VISIBLE: ",".join(gpus)})
    with seen, serving(ready, profile.name) as target:
        load_of = inputs.loads(ready.perf, target.url, ENSEMBLE, ready.work)
        points = {FIRST: POINTS["streams"], **{row: POINTS[row] for row in ROWS}}
        for name, one_gpu in points.items():
            point = replace(one_gpu, concurrency=one_gpu.concurrency * len(gpus))
            raw = ready.raw / f"{len(gpus)}-gpus" / name
            figures[name] = measure_watched(ready, target, load_of(point.size), point, raw)
            say(f"GPUs {','.join(gpus)}, {name}: {line(figures[name])}")


if __name__ == "__main__":
    typer.run(main)
