"""What the peer prints: a line for each frame, a batch of them for one frame of each source."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from loadtest.endtoend.usage import Moment, Watched

_FRAME = re.compile(r"(\d+): (\d+x\d+) (.*), \d+\.\d+ms")
_OBJECTS = re.compile(r"(\d+) [^,]+")
_VERSION = re.compile(r"Ultralytics (\d\S*) ")
_ERROR = re.compile(r"[\w.]*(Error|Exception): ")


class Frame(NamedTuple):
    """One line.

    Attributes:
        source: Number of its source, from 0.
        size: What the network saw, height x width in pixels.
        objects: In it.
    """

    source: int
    size: str
    objects: int


def frame_of(line: str) -> Frame | None:
    """Read a line such as `1: 384x640 2 persons, 1 car, 5.0ms`; None where it is another one."""
    found = _FRAME.fullmatch(line)
    if found is None:
        return None
    counts = _OBJECTS.findall(found[3])
    return Frame(int(found[1]), found[2], sum(map(int, counts)))


@dataclass
class Log:
    """What a run has printed so far.

    Attributes:
        sources: Number of them.
        version: Of the program.
        size: What the network saw, height x width in pixels.
        objects: Of each frame.
        batches: When each was whole, in seconds, and how many frames there were by then.
        last: The last line that was not empty.
        error: The last one that names one.
    """

    sources: int
    version: str = ""
    size: str = ""
    objects: list[int] = field(default_factory=list)
    batches: list[Moment] = field(default_factory=list)
    last: str = ""
    error: str = ""

    def add(self, line: str, at_s: float) -> None:
        """Take a line.

        Args:
            line: As it came.
            at_s: When it came, in seconds.
        """
        line = line.strip()
        self.last = line or self.last
        if frame := frame_of(line):
            self._count(frame, at_s)
        elif told := _VERSION.match(line):
            self.version = told[1]
        elif _ERROR.match(line):
            self.error = line

    def _count(self, frame: Frame, at_s: float) -> None:
        self.size = frame.size
        self.objects.append(frame.objects)
        # The lines of a batch come at once, when all of it is done.
        if frame.source == self.sources - 1:
            self.batches.append(Moment(at_s, len(self.objects)))

    @property
    def measured_s(self) -> float:
        """From the end of the first batch, which warms up, to that of the last."""
        return self.batches[-1].at_s - self.batches[0].at_s if self.batches else 0.0

    @property
    def frames_per_s(self) -> float | None:
        """Of all sources together in the middle of the run; None where it was too short."""
        return Watched(self.batches).steady_frames_per_s

    @property
    def reason(self) -> str:
        """What was wrong, where something was."""
        return self.error or self.last or "it said nothing"


def objects_per_frame(logs: Iterable[Log]) -> float | None:
    """The mean of some runs; None where no frame was seen."""
    counted = [objects for log in logs for objects in log.objects]
    return round(statistics.fmean(counted), 1) if counted else None
