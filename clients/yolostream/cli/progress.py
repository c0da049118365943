"""A bar for each source while it runs."""

from __future__ import annotations

import math
from types import TracebackType

from rich import progress
from rich.console import Console

from yolostream.pipeline.runner import Lane
from yolostream.pipeline.selection import Selection


class Progress:
    """Shows frames done and frames per second of each lane."""

    def __init__(self, lanes: list[Lane], selection: Selection, *, console: Console) -> None:
        self._lanes = lanes
        self._bars = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[rate]:5.1f} frames/s"),
            progress.TimeElapsedColumn(),
            console=console,
        )
        self._tasks = [
            self._bars.add_task(lane.source.name, total=expected_frames(lane, selection), rate=0.0)
            for lane in lanes
        ]

    def update(self) -> None:
        """Show where the lanes are now."""
        for lane, task in zip(self._lanes, self._tasks, strict=True):
            rate = lane.frames_done / lane.elapsed_s if lane.elapsed_s else 0.0
            self._bars.update(task, completed=lane.frames_done, rate=rate)

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.update()
        self._bars.stop()


def expected_frames(lane: Lane, selection: Selection) -> int | None:
    """Frames that the lane will take; None where the source does not know its length."""
    count = lane.source.frame_count
    if count is None:
        return selection.limit
    strided = math.ceil(count / selection.stride)
    return strided if selection.limit is None else min(strided, selection.limit)
