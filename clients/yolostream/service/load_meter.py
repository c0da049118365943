"""Measures what the cameras of a service cost its machine."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yolostream.pipeline.status import Status
from yolostream.service.capacity import OBSERVED_S, Load

INTERVAL_S = 1.0
"""Between two samples."""

_STAT = Path("/proc/stat")
_IDLE = (3, 4)
"""Columns of a core in which it does nothing: idle, and waiting for a disk."""


@dataclass(frozen=True)
class _Sample:
    at: float
    read: int
    done: int
    left_out: int
    busy: int
    ticks: int


class LoadMeter:
    """Keeps the samples of the last minutes; it begins anew when other cameras are live."""

    def __init__(self) -> None:
        self._live: frozenset[str] = frozenset()
        self._samples: deque[_Sample] = deque()

    def sample(self, now: float, statuses: Mapping[str, Status]) -> None:
        """Look at all cameras; called often, it takes a sample once in `INTERVAL_S`."""
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
        began_anew = bool(self._samples) and sample.read < self._samples[-1].read
        if live.keys() != self._live or began_anew:
            self._live = frozenset(live)
            self._samples.clear()
        self._samples.append(sample)
        while now - self._samples[0].at > OBSERVED_S + INTERVAL_S:
            self._samples.popleft()

    @property
    def load(self) -> Load:
        """Of the time since the same cameras are live, at most of the last minute."""
        if not self._samples:
            return Load(0.0, 0, 0, 0, 0, None)
        first, last = self._samples[0], self._samples[-1]
        ticks = last.ticks - first.ticks
        return Load(
            seconds=last.at - first.at,
            cameras=len(self._live),
            frames_read=last.read - first.read,
            frames_done=last.done - first.done,
            frames_left_out=last.left_out - first.left_out,
            processor=(last.busy - first.busy) / ticks if ticks else None,
        )


def _processor_ticks() -> tuple[int, int]:
    """What the cores that we may use have been busy for, and that with idling; zeros if unknown."""
    try:
        lines = _STAT.read_text().splitlines()
    except OSError:
        return 0, 0
    ours = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    busy = ticks = 0
    for name, *columns in map(str.split, lines):
        if name in ours:
            # Guests' time, behind these, is counted as users' already.
            counts = [int(column) for column in columns[:8]]
            ticks += sum(counts)
            busy += sum(counts) - sum(counts[column] for column in _IDLE)
    return busy, ticks
