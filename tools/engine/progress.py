"""Shows the progress of TensorRT."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich import progress
from rich.console import Console


@contextmanager
def showing(title: str, expected_s: float | None) -> Iterator[Callable[[str], None]]:
    """Show the elapsed time and the last log line on stderr. Warnings and errors stay visible.

    Args:
        title: Title of the progress bar.
        expected_s: Expected duration in seconds; None if it is unknown.

    Yields:
        A function to call with each log line.
    """
    usual = f"of about {timedelta(seconds=round(expected_s))}" if expected_s else ""
    bars = progress.Progress(
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}", markup=False),
        progress.TimeElapsedColumn(),
        progress.TextColumn("{task.fields[usual]} {task.fields[line]:.60}", markup=False),
        console=Console(stderr=True),
    )
    with bars:
        task = bars.add_task(title, total=None, usual=usual, line="")

        def show(line: str) -> None:
            bars.update(task, line=line)
            if line.startswith(("[W]", "[E]")):
                bars.console.print(line, markup=False, highlight=False, soft_wrap=True)

        yield show
