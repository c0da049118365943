"""Splits any number of images into launches of a few fixed batch sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def launches(images: int, batch_sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Split a number of images into launches.

    Args:
        images: Number of images.
        batch_sizes: Available batch sizes: powers of two, ascending from 1.

    Yields:
        Index of the first image, and batch size, of each launch. The sizes descend. The last launch
        may have up to a third more places than images, because that is faster than two smaller
        launches.
    """
    start = 0
    while left := images - start:
        size = next((size for size in batch_sizes if 3 * size <= 4 * left <= 4 * size), None)
        size = size or max(size for size in batch_sizes if size <= left)
        yield start, size
        start += min(size, left)
