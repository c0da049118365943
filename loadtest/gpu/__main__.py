"""Measures the ensemble on a GPU against the bare engine: `python -m loadtest.gpu`."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from yolostream.errors import ServerError, ServerStartError

from loadtest.errors import GpuError, LoadTestError
from loadtest.gpu import profiles, table
from loadtest.gpu.bench import FULL, QUICK, ROWS, Bench, Environment, network, rows_of
from loadtest.gpu.measuring import measure
from loadtest.gpu.nvidia_smi import facts
from loadtest.perf import binary
from loadtest.repository import REPOSITORY, RESULTS_FOLDER, SERVER_ENVIRONMENT, write_repository
from loadtest.result_file import Output, writing
from tools.command import one_line_errors


def main(
    profile: Annotated[
        list[str] | None, typer.Option(help="To measure; by default all that need a GPU.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Short windows: rough figures.")] = False,
    server_environment: Environment = SERVER_ENVIRONMENT,
    onnx: Annotated[
        Path | None,
        typer.Option(help="The network; made there if it is missing, which needs PyTorch."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help=f"Rows: {', '.join(ROWS)}. All by default.")
    ] = None,
    raw: Annotated[Path, typer.Option(help="What perf_analyzer wrote goes into here.")] = (
        REPOSITORY / "output" / "gpu"
    ),
    output: Output = RESULTS_FOLDER / "gpu.json",
) -> None:
    """Measure profiles on this machine's GPU: three minutes each, or one with --quick."""
    with one_line_errors(), tempfile.TemporaryDirectory(prefix="gpu-") as scratch:
        if unknown := set(only or []) - set(ROWS):
            raise GpuError(f"no row '{min(unknown)}': choose among {', '.join(ROWS)}")
        chosen = profiles.chosen(profile or [])
        with writing(output, tool="loadtest.gpu") as figures:
            work = Path(scratch)
            libraries = work / "libraries"
            libraries.mkdir()
            given = network(onnx or work / "model.onnx")
            write_repository(work / "models", given.path)
            figures |= {"gpu": facts(server_environment), "network": given.facts()}
            bench = Bench(
                perf=binary.ready(libraries, server_environment=server_environment),
                network=given,
                environment=server_environment,
                repository=work / "models",
                work=work,
                raw=raw / f"{datetime.now():%Y%m%d-%H%M%S}",
                lengths=QUICK if quick else FULL,
            )
            figures["profiles"] = {one.name: {} for one in chosen}
            failed = []
            for one in chosen:
                rows = [row for row in rows_of(on_gpu=one.on_gpu) if row in (only or ROWS)]
                # A profile that fails does not stop the others.
                try:
                    measure(bench, one, rows, figures=figures["profiles"][one.name])
                except (LoadTestError, ServerError, ServerStartError) as error:
                    failed.append(f"{one.name}: {error}")
            typer.echo(table.section({"figures": figures}))
            if failed:
                raise LoadTestError("; ".join(failed))


if __name__ == "__main__":
    typer.run(main)
