"""How a run went: what was done, how fast, and where the time of a frame went."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from yolostream.client.statistics import StepTotals
from yolostream.pipeline.runner import Lane
from yolostream.pipeline.stages import STAGES

_BAR_WIDTH = 28


@dataclass(frozen=True)
class Report:
    """The outcome of one run."""

    lanes: list[Lane]
    steps: dict[str, StepTotals]
    """The server's part, step by step; it counts other clients' frames too."""
    folder: Path
    interrupted: bool = False

    @property
    def frames(self) -> int:
        """Frames done, all sources together."""
        return sum(lane.frames_done for lane in self.lanes)

    @property
    def elapsed_s(self) -> float:
        """Seconds from the start to the closed files of the slowest source."""
        return max((lane.elapsed_s for lane in self.lanes), default=0.0)

    def milliseconds(self) -> list[tuple[str, float]]:
        """Each stage and its mean milliseconds a frame; the server's steps are indented."""
        rows = []
        for stage in STAGES:
            seconds = sum(lane.clock.seconds[stage] for lane in self.lanes)
            rows.append((stage, 1000 * seconds / max(1, self.frames)))
            if stage == "request":
                queue_s = sum(_per_frame(t, t.queue_s) for t in self.steps.values())
                rows.append(("  queue", 1000 * queue_s))
                rows.extend(
                    (f"  {step}", 1000 * _per_frame(totals, totals.compute_s))
                    for step, totals in self.steps.items()
                )
        return rows

    def show(self, console: Console) -> None:
        """Print the tables."""
        console.print(self._sources_table())
        if self.frames:
            console.print(self._stages_table())
        console.print(Text.assemble("Written to ", (f"{self.folder}/", "bold")), soft_wrap=True)

    def _sources_table(self) -> Table:
        table = Table("source", title="Sources", title_justify="left")
        for column in ("frames", "frames/s", "latency p50", "p99", "objects", "tracks"):
            table.add_column(column, justify="right")
        for lane in self.lanes:
            table.add_row(
                Text(lane.source.name),
                str(lane.frames_done),
                f"{lane.frames_done / lane.elapsed_s:.1f}" if lane.elapsed_s else "-",
                _milliseconds(lane.clock.latency_s(50)),
                _milliseconds(lane.clock.latency_s(99)),
                str(lane.objects_found),
                str(len(lane.tracks)),
            )
        rate = self.frames / self.elapsed_s if self.elapsed_s else 0.0
        table.add_section()
        table.add_row("[bold]together", str(self.frames), f"[bold]{rate:.1f}", "", "", "", "")
        return table

    def _stages_table(self) -> Table:
        title = "Where the time of a frame went (stages overlap)"
        table = Table("stage", title=title, title_justify="left")
        table.add_column("ms", justify="right")
        table.add_column("")
        rows = self.milliseconds()
        longest = max(duration for _, duration in rows) or 1.0
        for stage, duration in rows:
            bar = "█" * round(_BAR_WIDTH * duration / longest)
            style = "cyan" if stage.startswith(" ") else "blue"
            table.add_row(stage, f"{duration:.2f}", f"[{style}]{bar}[/{style}]")
        return table


def _milliseconds(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{1000 * seconds:.0f} ms"


def _per_frame(totals: StepTotals, seconds: float) -> float:
    return seconds / totals.frames if totals.frames else 0.0
