"""How far two pictures are from each other."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from yolostream.image import Image


@dataclass(frozen=True)
class Difference:
    """In levels, of each channel."""

    largest: list[int]
    mean: list[float]
    percentile_99: list[float]
    shift: list[float]
    """Of the real picture to the right and down, in pixels, by phase correlation."""

    @classmethod
    def of(cls, real: Image, replayed: Image) -> Difference:
        levels = np.abs(real.astype(np.int16) - replayed).reshape(-1, 3)
        return cls(
            largest=levels.max(axis=0).tolist(),
            mean=levels.mean(axis=0).round(4).tolist(),
            percentile_99=np.percentile(levels, 99, axis=0).tolist(),
            shift=_shift(real, replayed),
        )


def _shift(real: Image, replayed: Image) -> list[float]:
    gray = [cv2.cvtColor(one, cv2.COLOR_RGB2GRAY).astype(np.float32) for one in (replayed, real)]
    window = cv2.createHanningWindow(gray[0].shape[::-1], cv2.CV_32F)
    replayed_gray, real_gray = gray
    shift, _ = cv2.phaseCorrelate(replayed_gray, real_gray, window)
    return [round(along, 3) for along in shift]
