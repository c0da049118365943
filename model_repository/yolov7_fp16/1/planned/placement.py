"""Shares memory among buffers that are never needed at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .plan import Plan, target_of

_GRANULE = 256
"""Bytes that addresses are multiples of."""


@dataclass(frozen=True)
class Placement:
    """Where each buffer begins, for a batch of one; all of it times the batch size for more.

    Attributes:
        offsets: Bytes, by number of the buffer.
        size: Bytes of all together.
    """

    offsets: tuple[int, ...]
    size: int


def place(plan: Plan, bytes_per_element: Sequence[int]) -> Placement:
    """Give each buffer a place that no other has while it is needed.

    The largest first, each at the lowest free place.

    Args:
        plan: Whose buffers.
        bytes_per_element: Of each buffer.
    """
    spans = lifetimes(plan)
    sizes = [
        -(-buffer.elements * width // _GRANULE) * _GRANULE
        for buffer, width in zip(plan.buffers, bytes_per_element, strict=True)
    ]
    offsets = [0] * len(sizes)
    placed: list[int] = []
    for number in sorted(range(len(sizes)), key=lambda one: -sizes[one]):
        taken = sorted(
            (offsets[other], offsets[other] + sizes[other])
            for other in placed
            if _overlap(spans[number], spans[other])
        )
        offsets[number] = _lowest_gap(taken, sizes[number])
        placed.append(number)
    ends = (offset + size for offset, size in zip(offsets, sizes, strict=True))
    return Placement(tuple(offsets), max(ends, default=0))


def lifetimes(plan: Plan) -> list[tuple[int, int]]:
    """The first launch that writes each buffer, and the last that needs it."""
    spans: dict[int, tuple[int, int]] = {}
    for step, launch in enumerate(plan.launches):
        target = target_of(launch)
        for slice_ in (*launch.reads, *((target,) if target else ())):
            first, _ = spans.get(slice_.buffer, (step, step))
            spans[slice_.buffer] = (first, step)
    return [spans[number] for number in range(len(plan.buffers))]


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _lowest_gap(taken: Sequence[tuple[int, int]], size: int) -> int:
    start = 0
    for begin, end in taken:
        if begin - start >= size:
            break
        start = max(start, end)
    return start
