"""Progress bars, one for each source."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from types import TracebackType

from rich import progress
from rich.console import Console

from yolostream.pipeline.status import Status
from yolostream.sources import Source


class Progress:
    """Shows frames done, frames per second, and the state of each source.

    Args:
        sources: the sources, in the order of the statuses that `update` is given.
        console: where the bars are drawn.
        warm_up_s: seconds at the start that `since_warm_up` leaves out.
    """

    def __init__(
        self, sources: Sequence[Source], *, console: Console, warm_up_s: float = 0.0
    ) -> None:
        self.statuses = [Status(source.name) for source in sources]
        """The statuses that were shown last."""
        self._warm: list[Status] = []
        self._warm_at = time.monotonic() + warm_up_s if warm_up_s else math.inf
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
        """Show the statuses, which are in the order of the sources."""
        self.statuses = statuses
        if not self._warm and time.monotonic() >= self._warm_at:
            self._warm = statuses
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

    def since_warm_up(self, statuses: list[Status]) -> list[Status]:
        """The figures without those of the warm-up; all figures if the run ended during it."""
        if not self._warm:
            return statuses
        return [now.since(then) for now, then in zip(statuses, self._warm, strict=True)]

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
