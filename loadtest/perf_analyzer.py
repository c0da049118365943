"""The ensemble's rate by requests in flight: `python -m loadtest.perf_analyzer`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from itertools import product

import typer
from yolostream import Detector
from yolostream.client.detector import DEFAULT_MODEL

from loadtest.machine import HAS_GPU
from loadtest.options import Model, Output, Quick, Raw, Url, new_folder, workplace
from loadtest.perf import binary
from loadtest.perf.load import Load, Point, Transport, outputs_of
from loadtest.perf.report import line
from loadtest.repository import REPOSITORY, RESULTS_FOLDER
from loadtest.result_file import Content, say, writing
from loadtest.server import served
from loadtest.table import Figures, listed

IN_FLIGHT, QUICK_IN_FLIGHT = (1, 2, 4, 8, 16), (1, 2)
STABLE_PERCENT = 10.0
WINDOW_S, QUICK_WINDOW_S = 1.5, 0.5


def main(
    url: Url = None,
    model: Model = DEFAULT_MODEL,
    quick: Quick = False,
    raw: Raw = REPOSITORY / "output" / "perf_analyzer",
    output: Output = RESULTS_FOLDER / "perf_analyzer.json",
) -> None:
    """Measure an ensemble with 1 to 16 requests in flight, by each transport: two minutes.

    NVIDIA's perf_analyzer sends frames of a demo clip. With shared memory, it makes the server
    forget the shared memory of all clients: point --url at a server that nobody else is using.
    """
    with workplace() as work:
        perf = binary.ready(work)
        with (
            served(url, model=model) as target,
            writing(output, tool="loadtest.perf_analyzer", url=target.url) as figures,
        ):
            load = Load(perf, target.url, work, outputs_of(target.url, model))
            folder = new_folder(raw)
            # Points that are compared follow each other, because machines change by the minute.
            plan = product(QUICK_IN_FLIGHT if quick else IN_FLIGHT, _transports(target.url, model))
            for concurrency, transport in plan:
                point = Point(transport, concurrency, model=model)
                measured = load.measure(
                    point,
                    folder / point.label,
                    window_s=QUICK_WINDOW_S if quick else WINDOW_S,
                    percent=STABLE_PERCENT,
                )
                figures.setdefault("points", []).append({**asdict(point), **measured})
                say(f"{point.label}: {line(measured)}")
                if "frames_per_s" not in measured:
                    # This raises an error if the server is gone.
                    outputs_of(target.url, model)
        typer.echo(section({"figures": figures}))


def _transports(url: str, model: str) -> tuple[Transport, ...]:
    with Detector(url, model, max_in_flight=1) as detector:
        if detector.transport == "grpc":
            return ("grpc",)
    return ("grpc", "system", "cuda") if HAS_GPU else ("grpc", "system")


_TRANSPORTS = {"grpc": "gRPC", "system": "shared memory", "cuda": "CUDA shared memory"}


def section(content: Content) -> str:
    """Throughput and latency by requests in flight, in Markdown."""
    points = [point for point in content["figures"]["points"] if "frames_per_s" in point]

    def name(point: Figures) -> str:
        unstable = " (unstable)" if "words" in point else ""
        return f"{point['concurrency']}, {_TRANSPORTS[point['transport']]}{unstable}"

    columns: dict[str, Callable[[Figures], str]] = {
        "perf_analyzer, requests in flight": name,
        "frames/s": lambda point: f"{point['frames_per_s']:.1f}",
        "p50": lambda point: f"{point['latency_ms']['p50']:.0f} ms",
        "p99": lambda point: f"{point['latency_ms']['p99']:.0f} ms",
    }
    order = list(_TRANSPORTS)
    return listed(columns, sorted(points, key=lambda point: order.index(point["transport"])))


if __name__ == "__main__":
    typer.run(main)
