"""Rotation of text files by size and age."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from yolostream.detections import Detections
from yolostream.frame import Frame
from yolostream.image import Image
from yolostream.outputs.clock import SYSTEM_CLOCK, Clock
from yolostream.outputs.limits import check_limits
from yolostream.outputs.output import Output
from yolostream.outputs.parts import Parts, Retention, size_of


@dataclass(frozen=True)
class Rotation:
    """When the next text file begins, and which files are kept.

    By default, up to 1 GB of the last week is kept. A camera at 5 frames/s with ten objects in each
    frame writes about 60 MB per hour and format at most.
    """

    max_bytes: int = 64 << 20
    """Size in bytes after which a part ends. The last row may exceed it."""
    max_age_s: float = 3600.0
    """Longest time between the first and the last row of a part, in seconds."""
    keep: Retention = field(default_factory=partial(Retention, total_bytes=1 << 30))

    def __post_init__(self) -> None:
        check_limits(1, max_bytes=self.max_bytes, max_age_s=self.max_age_s)


class Rotating:
    """Writes consecutive parts. No row is split between two parts, or lost.

    Args:
        parts: the files.
        open_part: makes the output that writes one part.
        rotation: the limits of a part.
        kind: the `kind` of these outputs.
        clock: gives the time.
    """

    draws = False
    lost = 0

    def __init__(
        self,
        parts: Parts,
        open_part: Callable[[Path], Output],
        rotation: Rotation,
        *,
        kind: str,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.kind = kind
        """See `Output`."""
        self._parts = parts
        self._open_part = open_part
        self._rotation = rotation
        self._clock = clock
        self._part: Output | None = None
        self._path = Path()
        self._began = 0.0
        self._is_blank = True

    def write(self, frame: Frame, annotated: Image, detections: Detections) -> None:
        """Add one frame; see `Output`."""
        if self._part is None or self._is_over():
            self._part = self._next_part()
        self._part.write(frame, annotated, detections)
        self._is_blank = False

    def close(self) -> None:
        """Close the file."""
        if self._part is not None:
            self._part.close()
            self._part = None
            if self._is_blank:
                # On a full disk, each attempt would leave an empty part.
                self._parts.discard()
            self._parts.finish()

    def _is_over(self) -> bool:
        if self._clock.steady() - self._began >= self._rotation.max_age_s:
            return True
        # A size of 0 means that the file was removed: rows written to it would be lost.
        return not 0 < size_of(self._path) < self._rotation.max_bytes

    def _next_part(self) -> Output:
        self.close()
        self._parts.remove_old(self._rotation.keep)
        part = self._parts.begin(self._opened)
        self._began, self._is_blank = self._clock.steady(), True
        return part

    def _opened(self, path: Path) -> Output:
        self._path = path
        return self._open_part(path)
