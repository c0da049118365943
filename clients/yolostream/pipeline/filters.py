"""Which objects count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from yolostream.detections import Detections


@dataclass(frozen=True)
class DetectionFilter:
    """Which objects count."""

    min_confidence: float = 0.0
    class_ids: frozenset[int] | None = None
    """None takes every class."""

    def __call__(self, detections: Detections) -> Detections:
        """The detections that count."""
        wanted = detections.scores >= self.min_confidence
        if self.class_ids is not None:
            wanted &= np.isin(detections.class_ids, list(self.class_ids))
        return detections if wanted.all() else detections[wanted]
