"""What each model costs, asked by NVIDIA's perf_analyzer: `python -m loadtest.perf_analyzer`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from yolostream import Detector
from yolostream.client.detector import DEFAULT_MODEL

from loadtest.frames import demo_frames
from loadtest.perf import binary, inputs, points
from loadtest.perf.measurement import measure
from loadtest.perf.points import Point, Size, Transport
from loadtest.perf.process import Load
from loadtest.repository import REPOSITORY, RESULTS_FOLDER
from loadtest.result_file import writing
from loadtest.server import served
from tools.command import one_line_errors

FRAMES = 8
"""Different ones that are sent in turn: more would not fit a small /dev/shm as tensors."""

_QUICK_S = 12.0


def main(
    url: Annotated[str | None, typer.Option(help="gRPC address of a Triton; else own.")] = None,
    model: Annotated[str, typer.Option(help="Ensemble; its steps are measured too.")] = (
        DEFAULT_MODEL
    ),
    minutes: Annotated[float, typer.Option(min=0.1, help="For all of it.")] = 3.0,
    quick: Annotated[
        bool, typer.Option("--quick", help="A few points in 12 seconds, whatever --minutes says.")
    ] = False,
    raw: Annotated[Path, typer.Option(help="What perf_analyzer wrote goes into here.")] = (
        REPOSITORY / "output" / "perf_analyzer"
    ),
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = (
        RESULTS_FOLDER / "perf_analyzer.json"
    ),
) -> None:
    """Measure an ensemble and its steps with perf_analyzer.

    Concurrency, frames a request, transport and frame size are varied; what is sent are frames of
    a demo clip and what the server made of them. Through shared memory, perf_analyzer makes the
    server forget that of all its clients: point --url at a server that nobody else is using.
    """
    with (
        one_line_errors(),
        tempfile.TemporaryDirectory(prefix="perf-analyzer-") as scratch,
    ):
        work = Path(scratch)
        perf = binary.ready(work)
        with (
            served(url, model=model) as target,
            writing(output, tool="loadtest.perf_analyzer", url=target.url) as figures,
        ):
            ensemble = inputs.describe(target.url, model)
            plan = (points.quick if quick else points.full)(
                model, ensemble.stages, _transports(target.url, model)
            )
            _sweep(
                plan,
                _loads(perf, target.url, ensemble, work),
                budget_s=_QUICK_S if quick else 60 * minutes,
                raw=raw / f"{datetime.now():%Y%m%d-%H%M%S}",
                figures=figures,
            )


def _transports(url: str, model: str) -> tuple[Transport, ...]:
    with Detector(url, model, max_in_flight=1) as detector:
        if detector.transport != "shared-memory":
            return ("grpc",)
    return ("grpc", "system", "cuda") if Path("/dev/nvidia0").exists() else ("grpc", "system")


def _loads(
    perf: binary.PerfAnalyzer, url: str, ensemble: inputs.Ensemble, folder: Path
) -> Callable[[Point], Load]:
    """Return a function that tells what to send for a point; files are written as needed."""

    @cache
    def of_size(size: Size) -> dict[str, Load]:
        frames = demo_frames(size=size)[:FRAMES]
        loads = {}
        for model, requests in inputs.requests(url, ensemble.name, frames).items():
            path = folder / f"{model}-{size[0]}x{size[1]}.json"
            inputs.write(path, requests)
            regions = inputs.regions(requests, ensemble.outputs[model])
            loads[model] = Load(perf, url, path, regions)
        return loads

    return lambda point: of_size(point.size)[point.model]


def _sweep(
    plan: Sequence[Point],
    load_of: Callable[[Point], Load],
    *,
    budget_s: float,
    raw: Path,
    figures: dict[str, Any],
) -> None:
    """Measure each point of `plan` and add it to `figures`.

    Raises:
        ServerUnavailable: The server went away.
        ModelUnavailable: The model did.
    """
    with Progress(
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task("", total=len(plan))
        for point, seconds in points.shared_out(plan, budget_s):
            progress.update(task, description=point.label)
            load = load_of(point)
            measured = measure(load, point, raw / point.label, seconds)
            figures.setdefault("points", []).append(
                {**asdict(point), "raw": f"{raw.name}/{point.label}", **measured}
            )
            progress.console.print(_line(point, measured), highlight=False, soft_wrap=True)
            progress.advance(task)
            if "frames_per_s" not in measured:
                # A point that cannot be measured is marked; without a server none can.
                inputs.describe(load.url, plan[0].model)


def _line(point: Point, measured: dict[str, Any]) -> str:
    if "frames_per_s" not in measured:
        return f"{point.label}: {measured['words']}"
    latency = measured["latency_ms"]
    return (
        f"{point.label}: {measured['frames_per_s']:.1f} frames/s, p50 {latency['p50']:.1f} ms, "
        f"p99 {latency['p99']:.1f} ms{'' if measured['stable'] else ', unstable'}"
    )


if __name__ == "__main__":
    typer.run(main)
