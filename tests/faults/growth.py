"""Checks that the memory and the open files of processes do not grow over time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

BAR = 1.03
"""Largest allowed growth: the median of the last tenth divided by that of the second one."""
TENTHS = 10


@dataclass(frozen=True)
class Sample:
    """The resources of one process at one moment.

    Attributes:
        at_s: Seconds since the beginning.
        pid: The process id.
        memory_mb: Resident memory.
        files: The number of open file descriptors.
    """

    at_s: float
    pid: int
    memory_mb: float
    files: int


def sample(pid: int, at_s: float) -> Sample:
    """Measure a process now.

    Raises:
        psutil.NoSuchProcess: The process has ended.
    """
    process = psutil.Process(pid)
    with process.oneshot():
        return Sample(at_s, pid, round(process.memory_info().rss / 1e6, 1), process.num_fds())


def tenth(samples: Sequence[Sample], number: int, whole_s: float) -> list[Sample]:
    """The samples in one tenth of the time; `number` counts from 0."""
    return [one for one in samples if int(TENTHS * one.at_s / whole_s) == number]


def growth(samples: Sequence[Sample], whole_s: float) -> dict[str, float]:
    """Medians of the last tenth divided by those of the second one.

    The first tenth is left out, because every process grows at first.

    Args:
        samples: The samples of one process, which no fault has ended.
        whole_s: The length of all tenths together in seconds.

    Returns:
        The quotients by the name of the resource; NaN if one of the two tenths has no samples.
    """
    early, late = tenth(samples, 1, whole_s), tenth(samples, TENTHS - 1, whole_s)
    if not early or not late:
        return {"memory": math.nan, "files": math.nan}
    return {
        "memory": round(_median_mb(late) / _median_mb(early), 3),
        "files": round(_median_files(late) / _median_files(early), 3),
    }


def is_flat(grown: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether all quotients of all processes are known and within the limit."""
    return all(value <= BAR for figures in grown.values() for value in figures.values())


def medians(samples: Sequence[Sample], whole_s: float) -> list[dict[str, float]]:
    """The medians of each tenth that has samples."""
    parts = [tenth(samples, number, whole_s) for number in range(TENTHS)]
    return [{"memory_mb": _median_mb(part), "files": _median_files(part)} for part in parts if part]


def lives(samples: Sequence[Sample]) -> list[dict[str, float]]:
    """The age and the memory of each process at its last sample, in the order of their starts."""
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
