"""How any number of images becomes launches of a few sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def launches(images: int, batch_sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Split so many images: the first of each launch, and its batch size.

    Args:
        images: How many.
        batch_sizes: To choose from, ascending; the last launch may be larger than what is left.
    """
    for start in range(0, images, batch_sizes[-1]):
        left = images - start
        yield start, next((size for size in batch_sizes if size >= left), batch_sizes[-1])
