"""The checks as people read them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from yolostream.doctor.check import Check, Verdict

_MARKS = {
    Verdict.good: Text("✓", "green"),
    Verdict.note: Text("!", "yellow"),
    Verdict.bad: Text("✗", "bold red"),
}


def show(checks: Sequence[Check], console: Console) -> None:
    """Print a table: what is good, what is worth a note, what is wrong, and what to do."""
    table = Table("")
    for column in ("what", "found", "to do"):
        table.add_column(column, overflow="fold")
    for check in checks:
        table.add_row(_MARKS[check.verdict], *map(Text, (check.part, check.found, check.fix)))
    console.print(table)
