"""The ensemble on a GPU against the bare engine, with the bars that it has to hold."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from yolostream.errors import ServerError, ServerStartError

from loadtest.errors import LoadTestError
from loadtest.gpu import bench, lengths, profiles, rows, table
from loadtest.gpu.facts import facts
from loadtest.gpu.measuring import measure
from loadtest.repository import REPOSITORY, RESULTS_FOLDER, SERVER_ENVIRONMENT
from loadtest.result_file import writing
from tools.command import one_line_errors

RESULTS = RESULTS_FOLDER / "gpu.json"


def main(
    profile: Annotated[
        list[str] | None, typer.Option(help="To measure; by default all that need a GPU.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Short windows: rough figures.")] = False,
    server_environment: Annotated[
        Path, typer.Option(help="Virtual environment of the server.")
    ] = SERVER_ENVIRONMENT,
    onnx: Annotated[
        Path | None,
        typer.Option(help="The network; made there if it is missing, which needs PyTorch."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help=f"Rows: {', '.join(rows.ROWS)}. All by default.")
    ] = None,
    raw: Annotated[Path, typer.Option(help="What perf_analyzer wrote goes into here.")] = (
        REPOSITORY / "output" / "gpu"
    ),
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
) -> None:
    """Measure profiles on this machine's GPU: three minutes each, or one with --quick."""
    with one_line_errors(), tempfile.TemporaryDirectory(prefix="gpu-") as scratch:
        wanted = bench.chosen(only or [], rows.ROWS, what="row")
        chosen, work = profiles.chosen(profile or []), Path(scratch)
        with writing(output, tool="loadtest.gpu") as figures:
            network = bench.network(onnx or work / "model.onnx")
            ready = bench.prepare(
                work,
                network=network.path,
                environment=server_environment,
                raw=raw,
                lengths=lengths.QUICK if quick else lengths.FULL,
            )
            figures["gpu"], figures["network"] = facts(server_environment), network.facts()
            figures["profiles"] = {one.name: {} for one in chosen}
            failed = []
            for one in chosen:
                possible = [row for row in rows.of_profile(on_gpu=one.on_gpu) if row in wanted]
                own, candidates = figures["profiles"][one.name], network.usual_candidates
                # The machine is lent for minutes: the others are measured all the same.
                try:
                    measure(ready, one, possible, candidates=candidates, figures=own)
                except (LoadTestError, ServerError, ServerStartError) as error:
                    failed.append(f"{one.name}: {error}")
            typer.echo(table.verdicts(figures["profiles"]))
            if failed:
                raise LoadTestError("; ".join(failed))


if __name__ == "__main__":
    typer.run(main)
