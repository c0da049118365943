"""Measures `yolostream detect` against its own server: `python -m loadtest.endtoend`."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from yolostream.server import embedded
from yolostream.server.environment import ServerEnvironment

from loadtest.endtoend import table
from loadtest.endtoend.measuring import Setting, failures, measure
from loadtest.endtoend.plan import counts
from loadtest.errors import LoadTestError
from loadtest.gpu import bench
from loadtest.gpu.profiles import PROFILES
from loadtest.repository import REPOSITORY, RESULTS_FOLDER, SERVER_ENVIRONMENT
from loadtest.result_file import Output, writing
from tools.command import one_line_errors

_GPU_SOURCES, _QUICK_GPU_SOURCES, _CPU_SOURCES = "1,2,8,24,48", "2,24", "1,2"


def main(
    profile: Annotated[
        embedded.Profile | None, typer.Option(help="By default what the machine supports.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few runs of two seconds: rough figures.")
    ] = False,
    server_environment: bench.Environment = SERVER_ENVIRONMENT,
    onnx: Annotated[
        Path | None,
        typer.Option(
            help="The network, by default the demo model; made there if it is missing, which needs "
            "PyTorch."
        ),
    ] = None,
    sources: Annotated[
        str | None,
        typer.Option(
            help=f"Numbers of sources; by default {_GPU_SOURCES}, and without a GPU {_CPU_SOURCES}."
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="Length of each run; by default 10.")
    ] = None,
    raw: Annotated[
        Path, typer.Option(help="Clips, and what perf_analyzer and detect wrote, go into here.")
    ] = REPOSITORY / "output" / "endtoend",
    output: Output = RESULTS_FOLDER / "endtoend.json",
) -> None:
    """Measure `yolostream detect` against its own server: ten minutes, or one with --quick.

    Files as fast as they go and at the pace of cameras, by number of sources, decoder and worker
    processes; annotated videos; and the processor time and memory of each run.
    """
    with one_line_errors(), tempfile.TemporaryDirectory(prefix="endtoend-") as work:
        chosen = profile or embedded.choose_profile(ServerEnvironment.check(server_environment))
        usual = _CPU_SOURCES
        if PROFILES[chosen].on_gpu:
            usual = _QUICK_GPU_SOURCES if quick else _GPU_SOURCES
        setting = Setting(
            profile=chosen,
            environment=server_environment,
            onnx=onnx,
            sources=counts(sources or usual),
            seconds=seconds or (2.0 if quick else 10.0),
            quick=quick,
            work=Path(work),
            clips=raw / "clips",
            raw=raw / f"{datetime.now():%Y%m%d-%H%M%S}",
        )
        with writing(output, tool="loadtest.endtoend") as figures:
            measure(setting, figures)
        typer.echo(f"{table.judged(figures)}\n\n{table.runs(figures)}")
        if failed := failures(figures):
            raise LoadTestError("; ".join(failed))


if __name__ == "__main__":
    typer.run(main)
