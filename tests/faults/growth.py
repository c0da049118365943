"""Whether what processes take stays the same, however long they live."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

BAR = 1.03
"""The last tenth over the second one."""
TENTHS = 10


@dataclass(frozen=True)
class Sample:
    """What one process has at a moment.

    Attributes:
        at_s: Seconds since the beginning.
        pid: Of the process.
        memory_mb: Resident.
        files: Descriptors that are open.
    """

    at_s: float
    pid: int
    memory_mb: float
    files: int


def sample(pid: int, at_s: float) -> Sample:
    """What a process has now.

    Raises:
        psutil.NoSuchProcess: It has ended.
    """
    process = psutil.Process(pid)
    with process.oneshot():
        return Sample(at_s, pid, round(process.memory_info().rss / 1e6, 1), process.num_fds())


def tenth(samples: Sequence[Sample], number: int, whole_s: float) -> list[Sample]:
    """Those of one tenth of the time, from 0 on."""
    return [one for one in samples if int(TENTHS * one.at_s / whole_s) == number]


def growth(samples: Sequence[Sample], whole_s: float) -> dict[str, float]:
    """Medians of the last tenth over those of the second one: at first everything grows.

    Args:
        samples: Of one process, which no fault has ended.
        whole_s: Seconds of all tenths together.

    Returns:
        By name of the figure; NaN where a tenth has no samples.
    """
    early, late = tenth(samples, 1, whole_s), tenth(samples, TENTHS - 1, whole_s)
    if not early or not late:
        return {"memory": math.nan, "files": math.nan}
    return {
        "memory": round(_median_mb(late) / _median_mb(early), 3),
        "files": round(_median_files(late) / _median_files(early), 3),
    }


def is_flat(grown: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether no figure of any process is over the bar, or unknown."""
    return all(value <= BAR for figures in grown.values() for value in figures.values())


def medians(samples: Sequence[Sample], whole_s: float) -> list[dict[str, float]]:
    """What a process had in each tenth of the time that has samples."""
    parts = [tenth(samples, number, whole_s) for number in range(TENTHS)]
    return [{"memory_mb": _median_mb(part), "files": _median_files(part)} for part in parts if part]


def lives(samples: Sequence[Sample]) -> list[dict[str, float]]:
    """How old each process got that took the place of the one before, and what it had then."""
    first: dict[int, Sample] = {}
    last: dict[int, Sample] = {}
    for one in samples:
        first.setdefault(one.pid, one)
        last[one.pid] = one
    return [
        {"age_s": round(end.at_s - first[pid].at_s, 1), "memory_mb": end.memory_mb}
        for pid, end in last.items()
    ]


def _median_mb(samples: Sequence[Sample]) -> float:
    return statistics.median(one.memory_mb for one in samples)


def _median_files(samples: Sequence[Sample]) -> float:
    return statistics.median(one.files for one in samples)
