"""The ensemble's rate by requests in flight: `python -m loadtest.perf_analyzer`."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Annotated

import typer
from yolostream import Detector
from yolostream.client.detector import DEFAULT_MODEL

from loadtest.perf import binary, inputs
from loadtest.perf.process import Point, Transport, measure
from loadtest.perf.report import line
from loadtest.repository import REPOSITORY, RESULTS_FOLDER
from loadtest.result_file import Content, Output, say, writing
from loadtest.server import Url, served
from loadtest.table import table
from tools.command import one_line_errors

IN_FLIGHT, QUICK_IN_FLIGHT = (1, 2, 4, 8, 16), (1, 2)
STABLE_PERCENT = 10.0
WINDOW_S, QUICK_WINDOW_S = 1.5, 0.5


def main(
    url: Url = None,
    model: Annotated[str, typer.Option(help="The ensemble.")] = DEFAULT_MODEL,
    quick: Annotated[bool, typer.Option("--quick", help="A few points, short windows.")] = False,
    raw: Annotated[Path, typer.Option(help="What perf_analyzer wrote goes into here.")] = (
        REPOSITORY / "output" / "perf_analyzer"
    ),
    output: Output = RESULTS_FOLDER / "perf_analyzer.json",
) -> None:
    """Measure an ensemble with 1 to 16 requests in flight, by each transport: two minutes.

    NVIDIA's perf_analyzer sends frames of a demo clip. With shared memory, it makes the server
    forget the shared memory of all clients: point --url at a server that nobody else is using.
    """
    with one_line_errors(), tempfile.TemporaryDirectory(prefix="perf-analyzer-") as scratch:
        work = Path(scratch)
        perf = binary.ready(work)
        with (
            served(url, model=model) as target,
            writing(output, tool="loadtest.perf_analyzer", url=target.url) as figures,
        ):
            load_of = inputs.loads(perf, target.url, model, work)
            folder = raw / f"{datetime.now():%Y%m%d-%H%M%S}"
            # Points that are compared follow each other, because machines change by the minute.
            plan = product(QUICK_IN_FLIGHT if quick else IN_FLIGHT, _transports(target.url, model))
            for concurrency, transport in plan:
                point = Point(model, transport, concurrency)
                measured = measure(
                    load_of(point.size),
                    point,
                    folder / point.label,
                    window_s=QUICK_WINDOW_S if quick else WINDOW_S,
                    percent=STABLE_PERCENT,
                )
                figures.setdefault("points", []).append({**asdict(point), **measured})
                say(f"{point.label}: {line(measured)}")
                if "frames_per_s" not in measured:
                    # This raises an error if the server is gone.
                    inputs.outputs_of(target.url, model)
        typer.echo(section({"figures": figures}))


def _transports(url: str, model: str) -> tuple[Transport, ...]:
    with Detector(url, model, max_in_flight=1) as detector:
        if detector.transport == "grpc":
            return ("grpc",)
    return ("grpc", "system", "cuda") if Path("/dev/nvidia0").exists() else ("grpc", "system")


_TRANSPORTS = {"grpc": "gRPC", "system": "shared memory", "cuda": "CUDA shared memory"}


def section(content: Content) -> str:
    """Throughput and latency by requests in flight, in Markdown."""
    points = content["figures"]["points"]
    rows = [
        [
            f"{point['concurrency']}, {words}{' (unstable)' if 'words' in point else ''}",
            f"{point['frames_per_s']:.1f}",
            *(f"{point['latency_ms'][name]:.0f} ms" for name in ("p50", "p99")),
        ]
        for transport, words in _TRANSPORTS.items()
        for point in points
        if point["transport"] == transport and "frames_per_s" in point
    ]
    return table(["perf_analyzer, requests in flight", "frames/s", "p50", "p99"], rows)


if __name__ == "__main__":
    typer.run(main)
