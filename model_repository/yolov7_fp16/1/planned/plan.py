"""The plan: launches, and the memory that they read and write.

All maps are float16 with channels last, [batch, height, width, channels]. A concatenation is one
buffer; each of its parts is written directly into its channels, so nothing is copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from .decoder import Decoder

ALIGNMENT = 8
"""The number of channels of a buffer is a multiple of this: 16 bytes of float16."""

BYTES = np.dtype(np.float16).itemsize

Activation = Literal["none", "silu", "leaky", "relu", "sigmoid"]


def aligned(channels: int) -> int:
    """The number of channels, rounded up to a multiple of `ALIGNMENT`."""
    return -(-channels // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Buffer:
    """Memory for float16 [height, width, channels] of each image."""

    height: int
    width: int
    channels: int

    @property
    def bytes(self) -> int:
        """Bytes for one image."""
        return self.height * self.width * self.channels * BYTES


@dataclass(frozen=True)
class Slice:
    """A range of channels of a buffer.

    Attributes:
        buffer: Number of the buffer in the plan.
        start: First channel.
        channels: Number of channels, with those that only fill up to `ALIGNMENT`.
    """

    buffer: int
    start: int
    channels: int


@dataclass(frozen=True)
class Convert:
    """Turns float32 images [batch, channels, H, W] into a map. Channels that fill up become 0."""

    target: Slice
    channels: int


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution, then the bias, an activation, and the sum with one more map.

    Attributes:
        weight: float16 [K, R, S, C], where target and source have K and C channels.
        bias: float32 [K].
        strides: Vertical, horizontal.
        pads: Top, left, bottom, right.
        dilations: Vertical, horizontal.
        slope: Factor for negative values of the activation `leaky`.
        added: A slice with the shape of `target`.
    """

    source: Slice
    target: Slice
    weight: npt.NDArray[np.float16]
    bias: npt.NDArray[np.float32]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    activation: Activation
    slope: float = 0.0
    added: Slice | None = None


@dataclass(frozen=True)
class Pool:
    """The largest value of a square window. Pixels outside of the map do not count."""

    source: Slice
    target: Slice
    kernel: int
    stride: int
    pad: int


@dataclass(frozen=True)
class Upsample:
    """Repeats each pixel `scale` times in both directions. A scale of 1 is a copy."""

    source: Slice
    target: Slice
    scale: int


@dataclass(frozen=True)
class Add:
    """The sum of two maps."""

    source: Slice
    other: Slice
    target: Slice


@dataclass(frozen=True, eq=False)
class Decode:
    """Everything after the last convolutions: computes float32 [batch, rows, 6], the output."""

    sources: tuple[Slice, ...]
    decoder: Decoder


Launch = Convert | Convolution | Pool | Upsample | Add | Decode


@dataclass(frozen=True)
class Plan:
    """A network for images of one size.

    Attributes:
        buffers: The memory; a `Slice` names a buffer by its index.
        launches: In order. The first is a `Convert`, and only the last is a `Decode`.
    """

    buffers: tuple[Buffer, ...]
    launches: tuple[Launch, ...]


def slices_of(launch: Launch) -> tuple[Slice, ...]:
    """The slices that a launch reads and writes."""
    if isinstance(launch, Decode):
        return launch.sources
    return tuple(value for value in vars(launch).values() if isinstance(value, Slice))
