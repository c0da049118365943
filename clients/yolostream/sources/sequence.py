"""Numbered files, with FFmpeg's notation: `img_%03d.jpg`."""

from __future__ import annotations

import glob
import re
from pathlib import Path

_PART = re.compile(r"%(?P<width>\d{0,2})d|%%|[^%]+|%")


def numbered_files(pattern: str) -> list[Path]:
    """The files that match a pattern, in the order of their numbers, which may have gaps.

    Args:
        pattern: a path in which `%d` stands for a number, `%03d` for one of three digits or more,
            and `%%` for a percent sign.

    Returns:
        The files; none if `pattern` has no number.
    """
    expression = wildcard = ""
    for part in _PART.finditer(str(Path(pattern))):
        if part["width"] is None:
            literal = "%" if part[0] == "%%" else part[0]
            expression += re.escape(literal)
            wildcard += glob.escape(literal)
        else:
            more = max(1, int(part["width"] or 1)) - 1
            expression += f"(0[0-9]{{{more}}}|[1-9][0-9]{{{more},}})"
            wildcard += "*"
    numbered = re.compile(expression)
    if not numbered.groups:
        return []
    found = [numbered.fullmatch(path) for path in glob.iglob(wildcard)]
    return [Path(match[0]) for match in sorted(filter(None, found), key=_numbers)]


def _numbers(match: re.Match[str]) -> tuple[int, ...]:
    return tuple(map(int, match.groups()))
