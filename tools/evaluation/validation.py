"""Formats errors of pydantic."""

from __future__ import annotations

from pydantic import ValidationError


def first_problem(error: ValidationError) -> str:
    """The first wrong value on one line: its place, what is wrong with it, and the value."""
    problem = error.errors()[0]
    place = ".".join(map(str, problem["loc"])) or "the file"
    return f"{place}: {problem['msg']}, got {str(problem['input'])[:80]!r}"
