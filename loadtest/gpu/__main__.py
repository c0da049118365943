"""Measures the ensemble on a GPU against the bare engine: `python -m loadtest.gpu`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from yolostream.errors import ServerError, ServerStartError

from loadtest.errors import GpuError, LoadTestError
from loadtest.gpu import table
from loadtest.gpu.bench import ROWS, RUNTIMES, Bench, rows_of
from loadtest.gpu.measuring import measure
from loadtest.machine import HAS_GPU
from loadtest.options import Environment, Output, Quick, Raw, workplace
from loadtest.repository import REPOSITORY, RESULTS_FOLDER, SERVER_ENVIRONMENT
from loadtest.result_file import writing


def main(
    profile: Annotated[
        list[str] | None,
        typer.Option(help="To measure; by default all that need a GPU."),
    ] = None,
    quick: Quick = False,
    server_environment: Environment = SERVER_ENVIRONMENT,
    onnx: Annotated[
        Path | None,
        typer.Option(help="The network; made there if it is missing, which needs PyTorch."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help=f"Rows: {', '.join(ROWS)}. All by default.")
    ] = None,
    raw: Raw = REPOSITORY / "output" / "gpu",
    output: Output = RESULTS_FOLDER / "gpu.json",
) -> None:
    """Measure profiles on this machine's GPU: three minutes each, or one with --quick."""
    with workplace() as work:
        for what, names, known in (("profile", profile, RUNTIMES), ("row", only, ROWS)):
            if unknown := set(names or []) - set(known):
                raise GpuError(f"no {what} '{min(unknown)}': choose among {', '.join(known)}")
        chosen = [one for one in RUNTIMES if (one in profile if profile else one != "cpu")]
        if chosen != ["cpu"] and not HAS_GPU:
            raise GpuError(
                "no NVIDIA GPU here (/dev/nvidia0): run it on one, or with --profile cpu"
            )
        failed = []
        with writing(output, tool="loadtest.gpu") as figures:
            network = onnx or work / "model.onnx"
            bench = Bench.ready(network, server_environment, work, raw, quick=quick)
            figures |= {**bench.facts(), "profiles": {one: {} for one in chosen}}
            for one in chosen:
                rows = [row for row in rows_of(one) if row in (only or ROWS)]
                # A profile that fails does not stop the others.
                try:
                    measure(bench, one, rows, figures=figures["profiles"][one])
                except (LoadTestError, ServerError, ServerStartError) as error:
                    failed.append(f"{one}: {error}")
            typer.echo(table.section({"figures": figures}))
            if failed:
                raise LoadTestError("; ".join(failed))


if __name__ == "__main__":
    typer.run(main)
