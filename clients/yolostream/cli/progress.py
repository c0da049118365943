"""A bar for each source while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich import progress
from rich.console import Console

from yolostream.pipeline.status import Status
from yolostream.sources import Source


class Progress:
    """Shows frames done, frames per second, and what a source waits for."""

    def __init__(self, sources: Sequence[Source], *, console: Console) -> None:
        self.statuses = [Status(source.name) for source in sources]
        """As last shown."""
        self._bars = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[rate]:5.1f} frames/s"),
            progress.TextColumn("{task.fields[state]}"),
            progress.TimeElapsedColumn(),
            console=console,
        )
        self._tasks = [
            self._bars.add_task(source.name, total=None, rate=0.0, state="") for source in sources
        ]

    def update(self, statuses: list[Status]) -> None:
        """Show how far the sources are, in the order of the start."""
        self.statuses = statuses
        for status, task in zip(statuses, self._tasks, strict=True):
            self._bars.update(
                task,
                total=status.frames_expected,
                completed=status.frames_done,
                rate=status.frames_per_second,
                state=""
                if status.state in ("running", "ended")
                else status.state.replace("_", " "),
            )

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bars.stop()
