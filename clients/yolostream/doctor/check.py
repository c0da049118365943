"""The results of checks, and how they are printed."""

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
"""A problem inside one file: field, what is wrong with it, and the fix."""


@dataclass(frozen=True)
class Problem:
    """One problem and its fix.

    Attributes:
        where: file and field, or part of the machine.
        what: what is wrong with it, with the value.
        fix: what to do.
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
    """The verdict of a check."""

    good = "good"
    note = "note"
    """Missing or unusual; an optional feature will not work."""
    bad = "bad"


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        part: part of the machine, or file and field.
        verdict: the verdict.
        found: what was found.
        fix: what to do; empty if nothing is needed.
    """

    part: str
    verdict: Verdict
    found: str
    fix: str = ""


def bad(problem: Problem) -> Check:
    """The check that reports a problem."""
    return Check(problem.where, Verdict.bad, problem.what, problem.fix)


_MARKS = {
    Verdict.good: Text("✓", "green"),
    Verdict.note: Text("!", "yellow"),
    Verdict.bad: Text("✗", "bold red"),
}


def show(checks: Sequence[Check], console: Console) -> None:
    """Print the results as a table."""
    table = Table("")
    for column in ("what", "found", "to do"):
        table.add_column(column, overflow="fold")
    for check in checks:
        table.add_row(_MARKS[check.verdict], *map(Text, (check.part, check.found, check.fix)))
    console.print(table)


def run_command(command: Sequence[str]) -> tuple[str, str]:
    """Run a program and wait for its end.

    Returns:
        Its output, and its error message; one of the two is empty.
    """
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer in {COMMAND_TIMEOUT_S} s"
    if answer.returncode:
        lines = (answer.stderr or answer.stdout).strip().splitlines()
        return "", lines[-1] if lines else f"ended with code {answer.returncode}"
    return answer.stdout, ""
