"""Measures `yolostream detect` against its own server: `python -m loadtest.endtoend`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loadtest.endtoend import table
from loadtest.endtoend.measuring import Setting, failures, measure
from loadtest.errors import LoadTestError
from loadtest.gpu.bench import Bench
from loadtest.options import (
    Environment,
    Output,
    Profile,
    Quick,
    Raw,
    counts,
    profile_of,
    workplace,
)
from loadtest.repository import REPOSITORY, RESULTS_FOLDER, SERVER_ENVIRONMENT
from loadtest.result_file import writing

_GPU_SOURCES, _QUICK_GPU_SOURCES, _CPU_SOURCES = "1,2,8,24,48", "2,24", "1,2"


def main(
    profile: Profile = None,
    quick: Quick = False,
    server_environment: Environment = SERVER_ENVIRONMENT,
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
        float | None, typer.Option(min=1, help="Length of each run; by default 10, or 2 if quick.")
    ] = None,
    raw: Raw = REPOSITORY / "output" / "endtoend",
    output: Output = RESULTS_FOLDER / "endtoend.json",
) -> None:
    """Measure `yolostream detect` against its own server: ten minutes, or one with --quick.

    Files as fast as they go and at the pace of cameras, by number of sources, decoder and worker
    processes; annotated videos; and the processor time and memory of each run.
    """
    with workplace() as work:
        chosen = profile_of(profile, server_environment)
        usual = _QUICK_GPU_SOURCES if quick else _GPU_SOURCES
        # A wrong number is reported before anything is made.
        numbers = counts(sources or (_CPU_SOURCES if chosen == "cpu" else usual))
        setting = Setting(
            bench=Bench.ready(onnx, server_environment, work, raw, quick=quick),
            profile=chosen,
            sources=numbers,
            seconds=seconds or (2.0 if quick else 10.0),
            tries=1 if quick else 2,
            clips=raw / "clips",
        )
        with writing(output, tool="loadtest.endtoend") as figures:
            measure(setting, figures)
        typer.echo(f"{table.judged(figures)}\n\n{table.runs(figures)}")
        if failed := failures(figures):
            raise LoadTestError("; ".join(failed))


if __name__ == "__main__":
    typer.run(main)
