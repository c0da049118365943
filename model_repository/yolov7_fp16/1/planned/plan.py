"""Launches, and the memory that they work on.

Maps lie in memory as [batch, height, width, channels]. A concatenation is a buffer whose parts are
written where they belong, so nothing is copied for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from .decoder import Decoder

ALIGNMENT = 8
"""Channels of a buffer come in groups of so many, 16 bytes of float16."""

Activation = Literal["none", "silu", "leaky", "relu", "sigmoid"]


def aligned(channels: int) -> int:
    """So many channels, and those that fill the last group up."""
    return -(-channels // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Buffer:
    """Memory for maps of one size, [height, width, channels] of each image."""

    height: int
    width: int
    channels: int

    @property
    def elements(self) -> int:
        """Of one image."""
        return self.height * self.width * self.channels


@dataclass(frozen=True)
class Slice:
    """Some channels of a buffer.

    Attributes:
        buffer: Number of the buffer in the plan.
        start: First channel.
        channels: How many, those that only fill up included.
    """

    buffer: int
    start: int
    channels: int


@dataclass(frozen=True)
class Convert:
    """Float32 images [batch, channels, H, W] to maps; channels that fill up become 0."""

    target: Slice
    channels: int

    @property
    def reads(self) -> tuple[Slice, ...]:
        """Slices that it depends on."""
        return ()


@dataclass(frozen=True, eq=False)
class Convolution:
    """Convolution, bias and activation, and one more map that is added afterwards.

    Attributes:
        weight: float32 [K, R, S, C] of as many channels as target and source have.
        bias: float32 [K].
        strides: Of height and width, as the others.
        pads: Top, left, bottom, right.
        slope: Of negative values, for `leaky`.
        added: As large as `target`.
    """

    source: Slice
    target: Slice
    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    activation: Activation
    slope: float = 0.0
    added: Slice | None = None

    @property
    def reads(self) -> tuple[Slice, ...]:
        """Slices that it depends on."""
        return (self.source,) if self.added is None else (self.source, self.added)


@dataclass(frozen=True)
class Pool:
    """The largest value of a square window; outside of the map there is nothing."""

    source: Slice
    target: Slice
    kernel: int
    stride: int
    pad: int

    @property
    def reads(self) -> tuple[Slice, ...]:
        """Slices that it depends on."""
        return (self.source,)


@dataclass(frozen=True)
class Upsample:
    """Every pixel `scale` times in height and width; with 1, a copy."""

    source: Slice
    target: Slice
    scale: int

    @property
    def reads(self) -> tuple[Slice, ...]:
        """Slices that it depends on."""
        return (self.source,)


@dataclass(frozen=True)
class Add:
    """The sum of two maps."""

    source: Slice
    other: Slice
    target: Slice

    @property
    def reads(self) -> tuple[Slice, ...]:
        """Slices that it depends on."""
        return self.source, self.other


@dataclass(frozen=True, eq=False)
class Decode:
    """What follows the last convolutions, in float32: the rows of the output."""

    sources: tuple[Slice, ...]
    decoder: Decoder

    @property
    def reads(self) -> tuple[Slice, ...]:
        """Slices that it depends on."""
        return self.sources


Launch = Convert | Convolution | Pool | Upsample | Add | Decode


@dataclass(frozen=True)
class Plan:
    """A network for images of one size.

    Attributes:
        buffers: Memory, by number.
        launches: In the order in which they are launched.
    """

    buffers: tuple[Buffer, ...]
    launches: tuple[Launch, ...]


def target_of(launch: Launch) -> Slice | None:
    """What a launch writes; None for the rows of the output."""
    return None if isinstance(launch, Decode) else launch.target
