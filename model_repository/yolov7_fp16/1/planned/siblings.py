"""Merges convolutions that read the same map and write channels beside each other.

The two branches of a YOLOv7 block begin like that. The merged launch reads the map once, and its
larger number of channels uses the GPU better.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from .plan import Convolution, Launch, Slice


def merged(launches: Sequence[Launch]) -> list[Launch]:
    """Merge all siblings; a merged launch takes the place of the first of them."""
    result = list(launches)
    # A merged launch may itself have another sibling.
    while (pair := _siblings(result)) is not None:
        first, second = pair
        one, other = result[first], result.pop(second)
        assert isinstance(one, Convolution)
        assert isinstance(other, Convolution)
        result[first] = _merged_pair(one, other)
    return result


def _siblings(launches: Sequence[Launch]) -> tuple[int, int] | None:
    """The indices of two launches that can be merged."""
    by_source: dict[Slice, list[tuple[int, Convolution]]] = defaultdict(list)
    for index, launch in enumerate(launches):
        if isinstance(launch, Convolution):
            by_source[launch.source].append((index, launch))
    for group in by_source.values():
        for (first, one), (second, other) in combinations(group, 2):
            if _can_merge(one, other):
                return first, second
    return None


def _can_merge(one: Convolution, other: Convolution) -> bool:
    def settings(launch: Convolution) -> tuple[object, ...]:
        kernel = launch.weight.shape[1:]
        activation = (launch.activation, launch.slope)
        return kernel, launch.strides, launch.pads, launch.dilations, activation

    low, high = sorted((one.target, other.target), key=lambda target: target.start)
    adjacent = low.buffer == high.buffer and low.start + low.channels == high.start
    return adjacent and one.added is other.added is None and settings(one) == settings(other)


def _merged_pair(one: Convolution, other: Convolution) -> Convolution:
    low, high = sorted((one, other), key=lambda launch: launch.target.start)
    channels = low.target.channels + high.target.channels
    return replace(
        low,
        target=Slice(low.target.buffer, low.target.start, channels),
        weight=np.concatenate([low.weight, high.weight]),
        bias=np.concatenate([low.bias, high.bias]),
    )
