"""Processor time and memory of processes; one that is gone has none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import psutil

_GONE = (psutil.NoSuchProcess, psutil.AccessDenied)


def family(pid: int) -> tuple[int, ...]:
    """A process and its descendants; none where it has ended."""
    with contextlib.suppress(*_GONE):
        children = psutil.Process(pid).children(recursive=True)
        return (pid, *(child.pid for child in children))
    return ()


def cpu_s(pids: Iterable[int]) -> float:
    """Processor time so far, together in seconds."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(*_GONE):
            times = psutil.Process(pid).cpu_times()
            total += times.user + times.system
    return total


def memory_mb(pids: Iterable[int]) -> float:
    """Memory together in MB, shared pages shared out."""
    total = 0
    for pid in pids:
        with contextlib.suppress(*_GONE):
            total += psutil.Process(pid).memory_full_info().pss
    return total / 1e6
