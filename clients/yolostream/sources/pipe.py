"""Pipes as sources: standard input, named pipes, and a shell's process substitution."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

_DESCRIPTOR = re.compile(r"(?:/dev/fd|/proc/self/fd)/(?P<number>\d+)|/dev/stdin|-")
_OPENED_STANDARD_INPUT = re.compile(r"/proc/\d+/fd/0")


def portable_path(spec: str) -> str:
    """A path that is valid in other processes for an open file of this one, such as `-`.

    Any other argument is returned unchanged.
    """
    if (match := _DESCRIPTOR.fullmatch(spec)) is None:
        return spec
    return f"/proc/{os.getpid()}/fd/{match['number'] or 0}"


def is_standard_input(path: str) -> bool:
    """Whether this path is what `portable_path` returns for standard input."""
    return _OPENED_STANDARD_INPUT.fullmatch(path) is not None


def is_pipe(path: Path) -> bool:
    """Whether the path is a pipe or a socket, whose data can be read only once."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
