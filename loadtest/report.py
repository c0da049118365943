"""One report of all load tests: `python -m loadtest.report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from loadtest import comparison, plots, quartiles, result_file
from loadtest.errors import ResultError
from loadtest.machine import machine
from loadtest.repository import RESULTS_FOLDER
from loadtest.table import table
from tools.command import one_line_errors

PARTS = ("price", "perf_analyzer", "capacity", "queue_limit")
"""Scripts whose figures are collected; each wrote a file of its own name."""

console = Console(stderr=True)


def main(
    folder: Annotated[
        Path, typer.Option(help="Has the parts' figures, and gets report.json and the plots.")
    ] = RESULTS_FOLDER,
    compare: Annotated[
        Path | None,
        typer.Option(help="An earlier report.json; to be worse beyond the noise is an error."),
    ] = None,
) -> None:
    """Join what the load tests measured into report.json, plots, and a table on stdout."""
    old = None if compare is None else result_file.read(compare)
    report = join(folder)
    result_file.write(folder / "report.json", report)
    plots.draw(report["figures"], folder)
    typer.echo(table(report["figures"]))
    if old is not None:
        changes = comparison.changes(old, report)
        for change in changes:
            typer.echo(change)
        comparison.check(changes)


def join(folder: Path) -> dict[str, Any]:
    """Join the figures of the parts that are there.

    Returns:
        Content of `report.json`: the figures of each part under its name, under `sources` the
        machine and the command that they come from, under `missing` the parts that are not there.

    Raises:
        ResultError: None is there, or one is no file of figures.
    """
    there = {name: path for name in PARTS if (path := folder / f"{name}.json").exists()}
    if not there:
        raise ResultError(f"{folder} has no figures of {', '.join(PARTS)}: run 'make loadtest'")
    parts = {name: result_file.read(path) for name, path in there.items()}
    missing = [name for name in PARTS if name not in parts]
    partial = [name for name, part in parts.items() if part["partial"]]
    for problem, names in (("is missing", missing), ("is only a part", partial)):
        for name in names:
            console.print(f"{name}.json {problem}: 'python -m loadtest.{name}' measures it")
    figures = {name: part.pop("figures") for name, part in parts.items()}
    if "price" in figures:
        figures["price"] |= quartiles.summary(figures["price"]["turns"])
    return {
        "machine": machine(),
        "command": result_file.command("loadtest.report"),
        "partial": bool(missing or partial),
        "figures": {"sources": parts, "missing": missing, **figures},
    }


if __name__ == "__main__":
    with one_line_errors():
        typer.run(main)
