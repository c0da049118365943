"""Measures the ensemble on a GPU against the bare engine: `python -m loadtest.gpu`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from yolostream.errors import ServerError, ServerStartError

from loadtest.errors import GpuError, LoadTestError
from loadtest.gpu import bench, profiles, table
from loadtest.gpu.bench import ROWS, Bench, rows_of
from loadtest.gpu.measuring import measure
from loadtest.gpu.profiles import Profile
from loadtest.repository import REPOSITORY, RESULTS_FOLDER, SERVER_ENVIRONMENT
from loadtest.result_file import Output
from loadtest.table import Figures
from tools.command import one_line_errors


def main(
    profile: Annotated[
        list[str] | None, typer.Option(help="To measure; by default all that need a GPU.")
    ] = None,
    quick: bench.Quick = False,
    server_environment: bench.Environment = SERVER_ENVIRONMENT,
    onnx: bench.Onnx = None,
    only: Annotated[
        list[str] | None, typer.Option(help=f"Rows: {', '.join(ROWS)}. All by default.")
    ] = None,
    raw: bench.Raw = REPOSITORY / "output" / "gpu",
    output: Output = RESULTS_FOLDER / "gpu.json",
) -> None:
    """Measure profiles on this machine's GPU: three minutes each, or one with --quick."""
    with one_line_errors():
        if unknown := set(only or []) - set(ROWS):
            raise GpuError(f"no row '{min(unknown)}': choose among {', '.join(ROWS)}")
        chosen = profiles.chosen(profile or [])
        with bench.opened(
            output,
            tool="loadtest.gpu",
            onnx=onnx,
            environment=server_environment,
            raw=raw,
            quick=quick,
        ) as (ready, figures):
            figures["profiles"] = {one.name: {} for one in chosen}
            failed = [
                _failure(ready, one, only or ROWS, figures["profiles"][one.name]) for one in chosen
            ]
            typer.echo(table.section({"figures": figures}))
            if any(failed):
                raise LoadTestError("; ".join(filter(None, failed)))


def _failure(ready: Bench, profile: Profile, wanted: Sequence[str], figures: Figures) -> str:
    """Measure a profile; return why that failed, or nothing."""
    possible = [row for row in rows_of(on_gpu=profile.on_gpu) if row in wanted]
    # A profile that fails does not stop the others.
    try:
        measure(ready, profile, possible, figures=figures)
    except (LoadTestError, ServerError, ServerStartError) as error:
        return f"{profile.name}: {error}"
    return ""


if __name__ == "__main__":
    typer.run(main)
