"""Learning rate and data mix over the training time."""

from __future__ import annotations

import math

# Part of the training time, at its end, without mosaics, because real pictures have no seams
# (arXiv 2107.08430, section 2.1).
FINAL_SHARE = 0.15
_PLAIN_SHARE = 0.3
_WARM_UP_SHARE = 0.03
_LAST_FACTOR = 0.01


def learning_rate_factor(progress: float) -> float:
    """Factor 0..1 on the peak learning rate: a linear warm-up, then half a cosine.

    Args:
        progress: Elapsed share of the training time, 0..1.
    """
    if progress < _WARM_UP_SHARE:
        return progress / _WARM_UP_SHARE
    rest = (min(progress, 1.0) - _WARM_UP_SHARE) / (1 - _WARM_UP_SHARE)
    return _LAST_FACTOR + (1 - _LAST_FACTOR) * (1 + math.cos(math.pi * rest)) / 2


def plain_share(progress: float) -> float:
    """Share of canvases that hold one whole picture, 0..1."""
    return 1.0 if progress >= 1 - FINAL_SHARE else _PLAIN_SHARE
