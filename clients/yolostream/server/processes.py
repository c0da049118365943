"""Reads the state of other processes from /proc."""

from __future__ import annotations

import contextlib
from pathlib import Path

PAUSED = "T"
ZOMBIE = "Z"

_PROC = Path("/proc")
_LISTENS = "0A"


def state(pid: int) -> str:
    """The state of a process as in `ps`: R, S, D, T, Z ...; empty if there is no such process."""
    return _state_and_parent(pid)[0]


def children(pid: int) -> list[int]:
    """Ids of a process's children, including zombies."""
    numbers = (int(entry.name) for entry in _PROC.glob("[0-9]*"))
    return [number for number in numbers if _state_and_parent(number)[1] == pid]


def arguments(pid: int) -> list[str]:
    """The command line of a process; empty for a zombie, or if there is no such process."""
    with contextlib.suppress(OSError):
        text = (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace")
        return text.split("\0")[:-1]
    return []


def with_argument(word: str) -> list[int]:
    """Ids of the processes whose command line contains `word`."""
    numbers = (int(entry.name) for entry in _PROC.glob("[0-9]*"))
    return [number for number in numbers if word in " ".join(arguments(number))]


def listening(port: int) -> int | None:
    """Id of the process that listens on a TCP port; None without one, or without permission."""
    sockets = {f"socket:[{inode}]" for inode in _listening_sockets(port)}
    for link in _PROC.glob("[0-9]*/fd/*") if sockets else ():
        with contextlib.suppress(OSError):
            if str(link.readlink()) in sockets:
                return int(link.parts[2])
    return None


def _listening_sockets(port: int) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(fields[9])
    return found


def _state_and_parent(pid: int) -> tuple[str, int]:
    with contextlib.suppress(OSError, ValueError):
        # The name of the program is in parentheses, and may contain spaces and parentheses.
        letter, parent = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[:2]
        return letter, int(parent)
    return "", 0
