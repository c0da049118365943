"""What pydantic found, in a line."""

from __future__ import annotations

from pydantic import ValidationError


def first_problem(error: ValidationError) -> str:
    """Where the first wrong value is, what is wrong with it, and the value."""
    problem = error.errors()[0]
    place = ".".join(map(str, problem["loc"])) or "the file"
    return f"{place}: {problem['msg']}, got {str(problem['input'])[:80]!r}"
