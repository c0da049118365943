"""Report of a run: counts, throughput, and the time that each stage takes."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from yolostream.client.statistics import StepTotals
from yolostream.errors import YolostreamError
from yolostream.pipeline.status import FINAL, TROUBLES, Status
from yolostream.pipeline.timing import STAGES, Durations
from yolostream.redaction import redact

_BAR_WIDTH = 28


@dataclass(frozen=True)
class Report:
    """The figures and errors of one run."""

    statuses: list[Status]
    steps: dict[str, StepTotals]
    """The server's figures by step of the ensemble; they include other clients' frames."""
    folder: Path
    workers: int = 1
    """Processes that read the sources."""
    interrupted: bool = False

    @property
    def frames(self) -> int:
        """Frames done, for all sources together."""
        return sum(status.frames_done for status in self.statuses)

    @property
    def elapsed_s(self) -> float:
        """Seconds from the start until the slowest source has closed its files."""
        return max((status.elapsed_s for status in self.statuses), default=0.0)

    @property
    def frames_per_second(self) -> float:
        """Frames per second of all sources together, over `elapsed_s`."""
        return self.frames / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def ages(self) -> Durations:
        """Times from decoding a frame until it was written, for all sources together."""
        return sum((status.ages for status in self.statuses), start=Durations())

    @property
    def errors(self) -> list[YolostreamError]:
        """The errors of all sources, in the order of the sources."""
        return [
            error
            for status in self.statuses
            for error in [*status.errors, *status.first_lost.values()]
            if isinstance(error, YolostreamError)
        ]

    @property
    def messages(self) -> list[str]:
        """The errors as messages, with the numbers of lost frames."""
        messages: list[str] = []
        for status in self.statuses:
            messages += map(str, status.errors)
            for kind, error in status.first_lost.items():
                count = status.lost[kind]
                frames = "1 frame was" if count == 1 else f"{count} frames were"
                messages.append(f"{status.name}: {frames} lost: {error}")
        return messages

    def milliseconds(self) -> list[tuple[str, float]]:
        """Each stage and its mean milliseconds per frame; the server's steps are indented."""
        rows = []
        for stage in STAGES:
            seconds = sum(status.timer[stage].total_s for status in self.statuses)
            rows.append((stage, 1000 * seconds / max(1, self.frames)))
            if stage == "request":
                queue_s = sum(per_request(t, t.queue_s) for t in self.steps.values())
                rows.append(("  queue", 1000 * queue_s))
                rows.extend(
                    (f"  {step}", 1000 * per_request(totals, totals.compute_s))
                    for step, totals in self.steps.items()
                )
        return rows

    def show(self, console: Console) -> None:
        """Print the tables."""
        console.print(self._sources_table())
        for status in self.statuses:
            if status.state in TROUBLES and status.state not in FINAL:
                words = redact(f"{status.name}: {status.state}: {status.trouble}")
                console.print(Text(words), soft_wrap=True)
            if left_out := _counts(status.dropped + status.lost):
                console.print(Text(f"{status.name} left out {left_out}"), soft_wrap=True)
        if self.frames:
            console.print(self._stages_table())
        console.print(Text.assemble("Written to ", (f"{self.folder}/", "bold")), soft_wrap=True)

    def _sources_table(self) -> Table:
        table = Table("source", title="Sources", title_justify="left")
        for column in ("frames", "frames/s", "request p50", "p99", "objects", "tracks"):
            table.add_column(column, justify="right")
        for status in self.statuses:
            table.add_row(
                Text(status.name),
                str(status.frames_done),
                f"{status.frames_per_second:.1f}" if status.elapsed_s else "-",
                _milliseconds(status.timer["request"].percentile_s(50)),
                _milliseconds(status.timer["request"].percentile_s(99)),
                str(status.objects),
                str(status.tracks),
            )
        table.add_section()
        rate = f"[bold]{self.frames_per_second:.1f}"
        table.add_row("[bold]together", str(self.frames), rate, *[""] * 4)
        return table

    def _stages_table(self) -> Table:
        title = "Time per frame by stage (stages overlap)"
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


def _counts(dropped: Counter[str]) -> str:
    """Numbers of frames that were left out, with their causes."""
    return ", ".join(f"{count} {cause}" for cause, count in dropped.most_common())


def per_request(totals: StepTotals, seconds: float) -> float:
    """Mean seconds per request; 0 without requests."""
    return seconds / totals.requests if totals.requests else 0.0
