"""What was looked at, how it looks, and how a person is told."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rich.console import Console
from rich.table import Table
from rich.text import Text

COMMAND_TIMEOUT_S = 20

Finding = tuple[str, str, str]
"""What is wrong inside one file: field, what is wrong with it, and the fix."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, for a person who wants to put it right.

    Attributes:
        where: File and field, or part of the machine.
        what: What is wrong with it, with the value.
        fix: What to do.
    """

    where: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}: {self.fix}"


def in_file(file: str, findings: Iterable[Finding]) -> list[Problem]:
    """The problems of one file."""
    return [Problem(f"{file}: {field}", what, fix) for field, what, fix in findings]


class Verdict(StrEnum):
    """How something looks."""

    good = "good"
    note = "note"
    """Missing or unusual; something that not everybody needs will not work."""
    bad = "bad"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        part: Part of the machine, or file and field.
        verdict: How it looks.
        found: What is there.
        fix: What to do; empty where nothing is needed.
    """

    part: str
    verdict: Verdict
    found: str
    fix: str = ""


def bad(problem: Problem) -> Check:
    """Something is wrong."""
    return Check(problem.where, Verdict.bad, problem.what, problem.fix)


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


def run_command(command: Sequence[str]) -> tuple[str, str]:
    """Run a program to its end.

    Returns:
        What it printed, and what went wrong; one of the two is empty.
    """
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer in {COMMAND_TIMEOUT_S} s"
    if answer.returncode:
        said = (answer.stderr or answer.stdout).strip().splitlines()
        return "", said[-1] if said else f"ended with code {answer.returncode}"
    return answer.stdout, ""
