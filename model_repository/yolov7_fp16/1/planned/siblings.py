"""Makes one convolution of those that read the same map and write beside each other.

The two branches of a block begin so. One launch reads the map once, and has more channels to fill
the GPU with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from .plan import Convolution, Launch, Slice


def merged(launches: Sequence[Launch]) -> list[Launch]:
    """Merge where that is possible, each into the first of them."""
    result = list(launches)
    # What two have become may have another sibling.
    while (pair := _siblings(result)) is not None:
        first, second = pair
        one, other = result[first], result.pop(second)
        assert isinstance(one, Convolution)
        assert isinstance(other, Convolution)
        result[first] = _together(one, other)
    return result


def _siblings(launches: Sequence[Launch]) -> tuple[int, int] | None:
    by_source: dict[Slice, list[tuple[int, Convolution]]] = defaultdict(list)
    for place, launch in enumerate(launches):
        if isinstance(launch, Convolution):
            by_source[launch.source].append((place, launch))
    for group in by_source.values():
        for (first, one), (second, other) in combinations(group, 2):
            if _alike(one, other):
                return first, second
    return None


def _alike(one: Convolution, other: Convolution) -> bool:
    def how(launch: Convolution) -> tuple[object, ...]:
        shape = launch.weight.shape[1:]
        kind = (launch.activation, launch.slope)
        return launch.source, shape, launch.strides, launch.pads, launch.dilations, kind

    low, high = sorted((one.target, other.target), key=lambda place: place.start)
    beside = low.buffer == high.buffer and low.start + low.channels == high.start
    return beside and one.added is other.added is None and how(one) == how(other)


def _together(one: Convolution, other: Convolution) -> Convolution:
    low, high = sorted((one, other), key=lambda launch: launch.target.start)
    channels = low.target.channels + high.target.channels
    return replace(
        low,
        target=Slice(low.target.buffer, low.target.start, channels),
        weight=np.concatenate([low.weight, high.weight]),
        bias=np.concatenate([low.bias, high.bias]),
    )
