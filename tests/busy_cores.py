"""Observes whether a process keeps cores busy, as `yolostream.server.cores` does."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path


def wait_until_busy(cores, pid="self"):
    """Wait until idle-priority threads of the process have run on exactly these cores."""
    deadline = time.monotonic() + 120
    while _busy(pid) != cores:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _busy(pid):
    """The cores whose idle-priority thread has used CPU time."""
    cores = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        # A thread may end meanwhile.
        with contextlib.suppress(OSError):
            if os.sched_getscheduler(int(task.name)) == os.SCHED_IDLE:
                user_ticks = (task / "stat").read_text().rpartition(")")[2].split()[11]
                cores |= os.sched_getaffinity(int(task.name)) if int(user_ticks) else set()
    return cores
