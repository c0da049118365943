"""The ensemble on a GPU against the bare engine, with the bars that it has to hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from yolostream.errors import ServerError, ServerStartError

from loadtest.errors import GpuError, LoadTestError
from loadtest.gpu import bench, profiles, rows, table
from loadtest.gpu.bench import Bench
from loadtest.gpu.measuring import measure
from loadtest.gpu.profiles import Profile
from loadtest.repository import REPOSITORY, RESULTS_FOLDER, SERVER_ENVIRONMENT
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
        list[str] | None, typer.Option(help=f"Rows: {', '.join(rows.ROWS)}. All by default.")
    ] = None,
    raw: bench.Raw = REPOSITORY / "output" / "gpu",
    output: bench.Output = RESULTS_FOLDER / "gpu.json",
) -> None:
    """Measure profiles on this machine's GPU: three minutes each, or one with --quick."""
    with one_line_errors():
        if unknown := set(only or []) - set(rows.ROWS):
            raise GpuError(f"no row '{min(unknown)}': choose among {', '.join(rows.ROWS)}")
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
                _failure(ready, one, only or rows.ROWS, figures["profiles"][one.name])
                for one in chosen
            ]
            typer.echo(table.section({"figures": figures}))
            if any(failed):
                raise LoadTestError("; ".join(filter(None, failed)))


def _failure(ready: Bench, profile: Profile, wanted: Sequence[str], figures: Figures) -> str:
    """Measure a profile; return why that failed, or nothing."""
    possible = [row for row in rows.of_profile(on_gpu=profile.on_gpu) if row in wanted]
    # The machine is lent for minutes: the others are measured all the same.
    try:
        measure(ready, profile, possible, figures=figures)
    except (LoadTestError, ServerError, ServerStartError) as error:
        return f"{profile.name}: {error}"
    return ""


if __name__ == "__main__":
    typer.run(main)
