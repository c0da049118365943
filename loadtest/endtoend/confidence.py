"""From which confidence on objects count, so that a frame has as many as a street."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from yolostream import Detector
from yolostream.sources import Reading, find_sources

WANTED = 20
"""Objects of a frame, on average."""

_FRAMES = 16
_EVERY = 15


def usual_confidence(url: str, model: str, clips: Iterable[Path]) -> dict[str, Any]:
    """Find it with a few frames of each clip.

    Args:
        url: gRPC address of the server.
        model: The ensemble.
        clips: Videos.

    Returns:
        `confidence`, 0..1; `wanted`; and `all`, objects a frame without it.

    Raises:
        SourceError: A clip cannot be read.
        ServerError: The server does not answer.
    """
    scores: list[list[float]] = []
    sources, _ = find_sources([str(clip) for clip in clips], decoder="cpu")
    with Detector(url, model, max_in_flight=1) as detector:
        for source in sources:
            with contextlib.closing(source.open(Reading(stride=_EVERY))) as session:
                scores += [
                    detector.detect(frame.image).scores.tolist()
                    for frame in islice(session, _FRAMES)
                ]
    return {
        "confidence": threshold(scores, wanted=WANTED),
        "wanted": WANTED,
        "all": round(float(np.mean([len(frame) for frame in scores])), 1),
    }


def threshold(scores: Sequence[Sequence[float]], *, wanted: int) -> float:
    """The confidence that leaves so many objects a frame on average, to four digits.

    Args:
        scores: Of each frame, 0..1.
        wanted: Objects of a frame.

    Returns:
        0 where there are no more than that.
    """
    best_first = sorted((score for frame in scores for score in frame), reverse=True)
    kept = wanted * len(scores)
    if len(best_first) <= kept:
        return 0.0
    return math.floor(1e4 * best_first[kept - 1]) / 1e4
