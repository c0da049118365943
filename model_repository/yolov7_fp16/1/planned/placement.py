"""Lets buffers share memory that are never needed at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .plan import Plan, slices_of

_ALIGNMENT_BYTES = 256


@dataclass(frozen=True)
class Placement:
    """Where each buffer begins, for a batch of one image. A batch of n takes n times as much.

    Attributes:
        offsets: Bytes from the start of the memory, by number of the buffer.
        size: Bytes of the whole memory.
    """

    offsets: tuple[int, ...]
    size: int


def place(plan: Plan) -> Placement:
    """Give each buffer memory that no other buffer uses while it is needed.

    The largest buffer comes first, and each takes the lowest free offset.
    """
    spans = lifetimes(plan)
    sizes = [-(-buffer.bytes // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES for buffer in plan.buffers]
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
    """The numbers of the first and the last launch that use each buffer."""
    spans: dict[int, tuple[int, int]] = {}
    for step, launch in enumerate(plan.launches):
        for slice_ in slices_of(launch):
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
