"""One thing that is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
