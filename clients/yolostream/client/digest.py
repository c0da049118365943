"""A number that tells one frame from others. The client and `preprocess` have equal copies.

An answer carries the digest of the frame that it was computed from, and the client compares it
with that of the frame it sent: 32 bits over up to 16,384 of the frame's bytes, evenly spread. So
the boxes of another frame are taken for those of this one where all of these bytes are equal, or
once in four billion frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

MAX_SAMPLES = 16384
"""Bytes of a frame that count: 20 us, whatever its size."""


def digests(frames: Iterable[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
    """The digest of each frame.

    Args:
        frames: uint8 [H, W, 3] each, C-contiguous.

    Returns:
        float32 [n, 2]: the lower and the upper 16 bits, as whole numbers. A float32 holds no more
        than 24 bits exactly.
    """
    return digests_of_samples(map(samples, frames))


def digests_of_samples(
    samples_of_frames: Iterable[npt.NDArray[np.uint8]],
) -> npt.NDArray[np.float32]:
    """As `digests`, from what `samples` gives for each frame."""
    sums = [_weighted_sum(values) for values in samples_of_frames]
    return np.array([(sum_ & 0xFFFF, sum_ >> 16) for sum_ in sums], np.float32).reshape(-1, 2)


def samples(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The bytes that count, uint8 [at most `MAX_SAMPLES`]: a view of a C-contiguous frame."""
    height, width, _ = frame.shape
    return frame.reshape(-1)[:: stride(height, width)]


@lru_cache(maxsize=256)
def stride(height: int, width: int) -> int:
    """How many bytes the samples of a frame are apart.

    It has no divisor in common with the length of a row. So the samples are in other columns in
    each row, and of all three colors.
    """
    row = 3 * width
    apart = max(1, -(-height * row // MAX_SAMPLES))
    while math.gcd(apart, row) > 1:
        apart += 1
    return apart


def _weighted_sum(values: npt.NDArray[np.uint8]) -> int:
    """Modulo 2**32: the order counts, as each sample has a weight of its own."""
    return int(np.dot(values.astype(np.uint32), _WEIGHTS[: len(values)]))


def _weights(count: int) -> npt.NDArray[np.uint32]:
    """Odd numbers without a pattern, so that no change of a single byte cancels out.

    `letterbox.cu` computes the same: multiplications and shifts, modulo 2**32.
    """
    weights = np.arange(1, count + 1, dtype=np.uint32) * np.uint32(2654435761)
    weights ^= weights >> np.uint32(15)
    weights *= np.uint32(2246822519)
    weights ^= weights >> np.uint32(13)
    return weights | np.uint32(1)


_WEIGHTS = _weights(MAX_SAMPLES)
