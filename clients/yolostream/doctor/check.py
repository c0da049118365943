"""What was looked at, and how it looks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from yolostream.doctor.problem import Problem


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
