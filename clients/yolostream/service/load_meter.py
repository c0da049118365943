"""Measures the load of a service's cameras on its machine."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yolostream.pipeline.status import Status
from yolostream.service.capacity import OBSERVED_S, Load

INTERVAL_S = 1.0
"""Interval between two samples."""

_STAT = Path("/proc/stat")
_IDLE = (3, 4)
"""Columns of a core's line that count idle time: `idle` and `iowait`, see proc_stat(5)."""


@dataclass(frozen=True)
class _Sample:
    at: float
    read: int
    done: int
    skipped: int
    busy: int
    ticks: int


class LoadMeter:
    """Keeps samples of the last minute, and discards them when the set of live cameras changes."""

    def __init__(self) -> None:
        self._live: frozenset[str] = frozenset()
        self._samples: deque[_Sample] = deque()

    def sample(self, now: float, statuses: Mapping[str, Status]) -> None:
        """Take a sample, unless the last one is younger than `INTERVAL_S`.

        Args:
            now: time in seconds of a monotonic clock.
            statuses: the status of every camera, by name.
        """
        if self._samples and now - self._samples[-1].at < INTERVAL_S:
            return
        live = {name: one for name, one in statuses.items() if one.state == "live"}
        sample = _Sample(
            now,
            sum(one.frames_read for one in live.values()),
            sum(one.frames_done for one in live.values()),
            sum(one.dropped["superseded"] + one.dropped["stale"] for one in live.values()),
            *_processor_ticks(),
        )
        # Counters decrease when a worker is restarted.
        has_reset = bool(self._samples) and sample.read < self._samples[-1].read
        if live.keys() != self._live or has_reset:
            self._live = frozenset(live)
            self._samples.clear()
        self._samples.append(sample)
        while now - self._samples[0].at > OBSERVED_S + INTERVAL_S:
            self._samples.popleft()

    @property
    def load(self) -> Load:
        """The load since the set of live cameras last changed, over at most the last minute."""
        if not self._samples:
            return Load(0.0, 0, 0, 0, 0, None)
        first, last = self._samples[0], self._samples[-1]
        ticks = last.ticks - first.ticks
        return Load(
            seconds=last.at - first.at,
            cameras=len(self._live),
            frames_read=last.read - first.read,
            frames_done=last.done - first.done,
            frames_skipped=last.skipped - first.skipped,
            processor=(last.busy - first.busy) / ticks if ticks else None,
        )


def _processor_ticks() -> tuple[int, int]:
    """Clock ticks that the available cores were busy, and all their ticks; zeros if unknown."""
    try:
        lines = _STAT.read_text().splitlines()
    except OSError:
        return 0, 0
    available = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    busy = ticks = 0
    for name, *columns in map(str.split, lines):
        if name in available:
            # The two columns after these, for guests, are included in `user` and `nice`.
            counts = [int(column) for column in columns[:8]]
            ticks += sum(counts)
            busy += sum(counts) - sum(counts[column] for column in _IDLE)
    return busy, ticks
