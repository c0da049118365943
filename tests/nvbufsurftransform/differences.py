"""Differences between two pictures."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from yolostream.image import Image

from tests.nvinferserver.scaling import BILINEAR, CUBIC, LANCZOS, NEAREST, NPP_NEAREST, SUPER

_MOST_LEVELS = 4
"""Largest difference in RGB if luma and chroma differ by one level: 1.16 + 2.11, rounded up."""
_MOST_PIXELS = {BILINEAR: 0.001, CUBIC: 0.002, SUPER: 0.04, LANCZOS: 0.002}
"""Allowed fraction of pixels that differ, because a sum (filters 2 to 4) or a weight (filter 1) is
so close to one half that it is rounded differently. On an H100, it was at most 0.00002, 0.0005,
0.023 and 0.0006.
"""


@dataclass(frozen=True)
class Difference:
    """Differences in levels, for each channel."""

    largest: list[int]
    mean: list[float]
    percentile_99: list[float]
    share: float
    """Fraction of pixels that differ at all."""

    @classmethod
    def of(cls, real: Image, replayed: Image) -> Difference:
        levels = np.abs(real.astype(np.int16) - replayed).reshape(-1, 3)
        return cls(
            largest=levels.max(axis=0).tolist(),
            mean=levels.mean(axis=0).round(4).tolist(),
            percentile_99=np.percentile(levels, 99, axis=0).tolist(),
            share=round(float((levels > 0).any(axis=1).mean()), 6),
        )

    def is_rounding(self, number: int) -> bool:
        """Whether rounding explains the difference; nearest-neighbor filters must be equal."""
        if number in (NEAREST, NPP_NEAREST):
            return self.share == 0
        most = _MOST_PIXELS[number]
        return max(self.largest) <= _MOST_LEVELS and self.share <= most


def shift(real: Image, replayed: Image) -> list[float]:
    """Shift of the real picture to the right and down, in pixels, by phase correlation."""
    gray = [cv2.cvtColor(one, cv2.COLOR_RGB2GRAY).astype(np.float32) for one in (replayed, real)]
    window = cv2.createHanningWindow(gray[0].shape[::-1], cv2.CV_32F)
    replayed_gray, real_gray = gray
    shifted, _ = cv2.phaseCorrelate(replayed_gray, real_gray, window)
    return [round(along, 3) for along in shifted]
