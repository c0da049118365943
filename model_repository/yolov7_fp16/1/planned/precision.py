"""What the maps of a plan are kept in: float16, or float8 (e4m3) with a scale for each buffer.

A float8 value times the scale of its buffer is the number that it stands for. Buffers between which
values are only moved or compared share a scale, so that moving them changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import ml_dtypes
import numpy as np
import numpy.typing as npt

from .filters import Floats
from .plan import Add, Convert, Convolution, Decode, Plan, Pool, Slice, Upsample, target_of

Kind = Literal["half", "float8"]
Array = npt.NDArray[np.generic]

LARGEST = float(ml_dtypes.finfo(ml_dtypes.float8_e4m3fn).max)
"""That a float8 can be, 448."""
_GROUP = 16
"""Channels of float8 that are read at once."""
BYTES = {"half": 2, "float8": 1}


@dataclass(frozen=True)
class Precision:
    """Of each buffer of a plan.

    Attributes:
        kinds: What its values are.
        scales: What one stands for; 1 for float16.
    """

    kinds: tuple[Kind, ...]
    scales: tuple[float, ...]

    def bytes_per_element(self) -> list[int]:
        """Of each buffer."""
        return [BYTES[kind] for kind in self.kinds]


def half(plan: Plan) -> Precision:
    """Everything in float16."""
    return Precision(("half",) * len(plan.buffers), (1.0,) * len(plan.buffers))


def float8(plan: Plan, peaks: Sequence[float], *, also: Collection[int] = ()) -> Precision:
    """In float8 what convolutions read, in float16 the rest.

    The images and what becomes boxes stay in float16.

    Args:
        plan: Whose buffers.
        peaks: The largest magnitude that each buffer has had on pictures of the kind to expect.
        also: More buffers that stay in float16.
    """
    kept = _kept(plan) | set(also)
    groups = _groups(plan)
    kinds: list[Kind] = []
    scales = []
    for number in range(len(plan.buffers)):
        together = [other for other, group in enumerate(groups) if group == groups[number]]
        whole = bool(kept.intersection(together))
        peak = max(peaks[other] for other in together)
        kinds.append("half" if whole else "float8")
        scales.append(1.0 if whole or not peak else peak / LARGEST)
    return Precision(tuple(kinds), tuple(scales))


def last_written(plan: Plan, launches: int) -> set[int]:
    """Buffers that so many of the last launches before the decoder write."""
    targets = (target_of(launch) for launch in plan.launches[-1 - launches : -1])
    return {target.buffer for target in targets if target is not None}


def _kept(plan: Plan) -> set[int]:
    """Buffers that stay in float16."""
    kept: set[int] = set()
    for launch in plan.launches:
        target = target_of(launch)
        slices = (*launch.reads, *((target,) if target else ()))
        if isinstance(launch, Convert | Decode | Add):
            kept.update(one.buffer for one in slices)
        kept.update(one.buffer for one in slices if _crooked(plan, one))
    return kept


def _crooked(plan: Plan, one: Slice) -> bool:
    return any(n % _GROUP for n in (one.start, one.channels, plan.buffers[one.buffer].channels))


def _groups(plan: Plan) -> list[int]:
    """A number for each buffer, the same for those between which values are moved."""
    groups = list(range(len(plan.buffers)))
    for launch in plan.launches:
        if isinstance(launch, Pool | Upsample):
            one, other = groups[launch.source.buffer], groups[launch.target.buffer]
            groups = [one if group == other else group for group in groups]
    return groups


@dataclass(frozen=True)
class Filter:
    """What a convolution multiplies with, and what its sums have to be multiplied with.

    Attributes:
        codes: float16 or float8 [K, R, S, C].
        factors: float32 [K], that make numbers of sums; None for 1.
        quotient: What the result is divided by at last.
    """

    codes: Array
    factors: Floats | None
    quotient: float


def filter_of(launch: Convolution, precision: Precision) -> Filter:
    """The filter of a convolution in the kind of what it reads."""
    quotient = precision.scales[launch.target.buffer]
    if precision.kinds[launch.source.buffer] == "half":
        return Filter(launch.weight.astype(np.float16), None, quotient)
    peaks = np.abs(launch.weight).max(axis=(1, 2, 3))
    scales = np.where(peaks > 0, peaks / LARGEST, 1).astype(np.float32)
    codes = (launch.weight / scales[:, None, None, None]).astype(ml_dtypes.float8_e4m3fn)
    return Filter(codes, scales * np.float32(precision.scales[launch.source.buffer]), quotient)
