"""Splits any number of images into launches of a few fixed batch sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def launches(images: int, batch_sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Split images into launches; yields the first image of each, and its batch size.

    Args:
        images: How many.
        batch_sizes: To choose from, powers of two from 1 on, ascending.

    Yields:
        Descending sizes. Only the last may be larger than the number of images left, by a third of
        that at most: then one launch is faster than two smaller ones.
    """
    start = 0
    while left := images - start:
        size = next((size for size in batch_sizes if 3 * size <= 4 * left <= 4 * size), None)
        size = size or max(size for size in batch_sizes if size <= left)
        yield start, size
        start += min(size, left)
