"""Computes a number that identifies a frame. The client and `preprocess` have equal copies.

An answer carries the digest of its frame, and the client compares that with the digest of the frame
it sent. The digest has 32 bits and covers up to 16,384 evenly spaced bytes of the frame. Two
different frames have the same digest if all of these bytes are equal, and otherwise once in four
billion cases.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

MAX_SAMPLES = 16384
"""Largest number of bytes of a frame that are sampled. They take 20 us to compute."""


def digests(frames: Iterable[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
    """The digest of each frame.

    Args:
        frames: uint8 [H, W, 3] each, C-contiguous.

    Returns:
        float32 [n, 2]: the lower and the upper 16 bits, as integers. They are split, because a
        float32 is exact for integers of up to 24 bits only.
    """
    return digests_of_samples(map(samples, frames))


def digests_of_samples(
    samples_of_frames: Iterable[npt.NDArray[np.uint8]],
) -> npt.NDArray[np.float32]:
    """As `digests`, but from the samples of each frame, uint8 [at most `MAX_SAMPLES`]."""
    sums = [_weighted_sum(values) for values in samples_of_frames]
    return np.array([(sum_ & 0xFFFF, sum_ >> 16) for sum_ in sums], np.float32).reshape(-1, 2)


def samples(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The sampled bytes, uint8 [at most `MAX_SAMPLES`]: a view of a C-contiguous frame."""
    height, width, _ = frame.shape
    return frame.reshape(-1)[:: stride(height, width)]


@lru_cache(maxsize=256)
def stride(height: int, width: int) -> int:
    """The distance between the samples of a frame, in bytes.

    It has no common divisor with the length of a row. So each row is sampled at other columns, and
    all three color channels are sampled.
    """
    row = 3 * width
    apart = max(1, -(-height * row // MAX_SAMPLES))
    while math.gcd(apart, row) > 1:
        apart += 1
    return apart


def _weighted_sum(values: npt.NDArray[np.uint8]) -> int:
    """The weighted sum modulo 2**32. Each sample has its own weight, so the order matters."""
    products = values.astype(np.uint32)
    products *= _WEIGHTS[: len(values)]
    # Faster than `np.dot`, which has no vector code for integers, and than a sum in 64 bits.
    return int(np.add.reduce(products, dtype=np.uint32))


def _weights(count: int) -> npt.NDArray[np.uint32]:
    """Pseudo-random odd numbers. They are odd, so that every change of a single byte has an effect.

    `letterbox.cu` computes the same numbers.
    """
    weights = np.arange(1, count + 1, dtype=np.uint32) * np.uint32(2654435761)
    weights ^= weights >> np.uint32(15)
    weights *= np.uint32(2246822519)
    weights ^= weights >> np.uint32(13)
    return weights | np.uint32(1)


_WEIGHTS = _weights(MAX_SAMPLES)
