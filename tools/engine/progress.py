"""What is shown while TensorRT works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich import progress
from rich.console import Console


@contextmanager
def showing(title: str, expected_s: float | None) -> Iterator[Callable[[str], None]]:
    """Show the time and the latest line of a log on stderr; warnings and errors stay there.

    Args:
        title: What is being done.
        expected_s: How long it may take in seconds, where that is known.

    Yields:
        A function that takes a line.
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
