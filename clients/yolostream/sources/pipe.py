"""Pipes as sources: standard input, named pipes, and what a shell puts in place of a command."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

_DESCRIPTOR = re.compile(r"(?:/dev/fd|/proc/self/fd)/(?P<number>\d+)|/dev/stdin|-")
_OPENED_STANDARD_INPUT = re.compile(r"/proc/\d+/fd/0")


def for_any_process(spec: str) -> str:
    """A word for an open file of this process, such as `-`, as a path for other processes too.

    Any other word stays as it is.
    """
    if (match := _DESCRIPTOR.fullmatch(spec)) is None:
        return spec
    return f"/proc/{os.getpid()}/fd/{match['number'] or 0}"


def is_standard_input(path: str) -> bool:
    """Whether `for_any_process` has made this path of standard input."""
    return _OPENED_STANDARD_INPUT.fullmatch(path) is not None


def is_pipe(path: Path) -> bool:
    """Whether what is read there is gone, so that nobody may look into it before."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
