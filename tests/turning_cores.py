"""Whether a process keeps cores awake, as `yolostream.server.cores` does."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path


def wait_until_they_turn(cores, pid="self"):
    """Wait until these cores, and no others, have turned in threads of the process."""
    deadline = time.monotonic() + 120
    while _turning(pid) != cores:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _turning(pid):
    """Cores whose thread at the lowest priority has used some time."""
    cores = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        # One may end while it is looked at.
        with contextlib.suppress(OSError):
            if os.sched_getscheduler(int(task.name)) == os.SCHED_IDLE:
                user_ticks = (task / "stat").read_text().rpartition(")")[2].split()[11]
                cores |= os.sched_getaffinity(int(task.name)) if int(user_ticks) else set()
    return cores
