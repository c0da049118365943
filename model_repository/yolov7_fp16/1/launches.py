"""How any number of images becomes launches of a few sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def launches(images: int, batch_sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Split so many images: the first of each launch, and its batch size.

    Args:
        images: How many.
        batch_sizes: To choose from, powers of two from 1 on, ascending.

    Yields:
        Sizes that descend; only the last may be larger than what is left, by a quarter of it at
        most: then one launch is faster than two that fit.
    """
    start = 0
    while left := images - start:
        size = next((size for size in batch_sizes if 3 * size <= 4 * left <= 4 * size), None)
        size = size or max(size for size in batch_sizes if size <= left)
        yield start, size
        start += min(size, left)
