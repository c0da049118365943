"""Frames of the demo clips, and the rate at which something answers them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from yolostream.client.transport.buffers import resize
from yolostream.image import Image
from yolostream.sources import Reading, find_sources

from loadtest.clips import CLIPS


def demo_frames(
    *, size: tuple[int, int] | None = None, every: int = 10, first: int | None = None
) -> list[Image]:
    """Read frames of a demo clip.

    Args:
        size: Height and width to resize to, in pixels; by default those of the clip.
        every: Take every Nth frame.
        first: Take so many; by default all.

    Returns:
        uint8 [height, width, 3] each, RGB.
    """
    (source,), _ = find_sources([str(CLIPS[0])], decoder="cpu")
    frames = []
    with contextlib.closing(source.open(Reading(stride=every))) as session:
        for frame in islice(session, first):
            assert isinstance(frame.image, np.ndarray)  # of the processor's decoder
            height, width = size or frame.image.shape[:2]
            frames.append(resize(frame.image, height=height, width=width))
    return frames


def rate(work: Iterator[Any], seconds: float, *, warm_up: int) -> float:
    """Items per second of `work`, measured for `seconds` after the first `warm_up` items."""
    for _ in islice(work, warm_up):
        pass
    count, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        next(work)
        count += 1
    return count / elapsed
