"""Which frames and which objects count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from yolostream.detections import Detections
from yolostream.frame import Frame
from yolostream.sources import Source


@dataclass(frozen=True)
class Selection:
    """Which frames and which objects count."""

    stride: int = 1
    """Every Nth frame is taken."""
    limit: int | None = None
    """Frames taken at most."""
    min_confidence: float = 0.0
    class_ids: frozenset[int] | None = None
    """None takes every class."""

    def frames(self, source: Source) -> Iterator[Frame]:
        """The frames of `source` that count."""
        taken = 0
        for frame in source:
            if frame.index % self.stride == 0:
                yield frame
                taken += 1
                if taken == self.limit:
                    return

    def objects(self, detections: Detections) -> Detections:
        """The detections that count."""
        wanted = detections.scores >= self.min_confidence
        if self.class_ids is not None:
            wanted &= np.isin(detections.class_ids, list(self.class_ids))
        return detections if wanted.all() else detections[wanted]
