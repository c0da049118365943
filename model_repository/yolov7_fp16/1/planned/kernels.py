"""Binds the kernels of a plan other than convolutions to fixed addresses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cupy as cp
import numpy as np

from .convolutions import Map
from .decoder import Decoder
from .plan import ALIGNMENT

_THREADS = 256
_MOST_BLOCKS = 1 << 20
_SOURCE = Path(__file__).with_name("kernels.cu")

Call = Callable[[], None]
"""Launches a kernel on the current stream."""


@dataclass(frozen=True)
class Place:
    """A slice in device memory.

    Attributes:
        map: The shape of the slice, whose channels are a multiple of 8.
        address: Where its first channel of the first pixel is.
    """

    map: Map
    address: int

    @property
    def pitch(self) -> int:
        """Packs of 16 bytes from one pixel to the next."""
        return self.map.pitch // ALIGNMENT

    @property
    def packs(self) -> int:
        """Packs of 16 bytes that a pixel of the slice has."""
        return self.map.channels // ALIGNMENT

    @property
    def pixels(self) -> int:
        """Pixels of one image."""
        return self.map.height * self.map.width


class Kernels:
    """The kernels, compiled for the current device. Each method returns a call for `batch` images.

    Args:
        decoder: Writes the source of the last kernel.
        pitches: Channels of the buffer of each map that the last kernel reads.
    """

    def __init__(self, decoder: Decoder, pitches: Sequence[int]) -> None:
        source = _SOURCE.read_text(encoding="utf-8") + decoder.source(pitches)
        self._module = cp.RawModule(code=source)
        self._constants, self._rows = cp.asarray(decoder.constants), decoder.rows

    def convert(self, batch: int, images: int, channels: int, target: Place) -> Call:
        """Turn float32 [batch, channels, H, W] at the address `images` into a map."""
        numbers = _numbers(target.pitch, channels, target.pixels, batch * target.pixels)
        return self._call("convert", batch * target.pixels, images, target.address, *numbers)

    def pool(
        self, batch: int, source: Place, target: Place, *, kernel: int, stride: int, pad: int
    ) -> Call:
        """Take the largest value of each window."""
        one, other = source.map, target.map
        sizes = (one.height, one.width, other.height, other.width, kernel, stride, pad)
        count = batch * target.pixels * target.packs
        return self._call(
            "pool",
            count,
            *_pointers(source, target),
            np.int32(target.packs),
            _struct(sizes, "i4"),
            np.int32(count),
        )

    def upsample(self, batch: int, source: Place, target: Place, *, scale: int) -> Call:
        """Repeat each pixel `scale` times in both directions."""
        count = batch * target.pixels * target.packs
        numbers = (target.packs, source.map.height, source.map.width, scale, count)
        return self._call("upsample", count, *_pointers(source, target), *_numbers(*numbers))

    def add(self, batch: int, source: Place, other: Place, target: Place) -> Call:
        """Add two maps."""
        count = batch * target.pixels * target.packs
        pointers = _pointers(source, other, target)
        return self._call("add", count, *pointers, *_numbers(target.packs, count))

    def decode(self, batch: int, maps: Sequence[Place], rows: int) -> Call:
        """Write float32 [batch, rows, 6] to the address `rows`; `maps` have the decoder's order."""
        count = batch * self._rows
        addresses = _struct([one.address for one in maps], "u8")
        return self._call("decode", count, addresses, self._constants, rows, np.int32(count))

    def _call(self, name: str, count: int, *arguments: Any) -> Call:
        """A call of a kernel with a thread for each of `count` elements; ints are addresses."""
        function = self._module.get_function(name)
        blocks = min(-(-count // _THREADS), _MOST_BLOCKS)
        given = tuple(np.uint64(one) if isinstance(one, int) else one for one in arguments)
        return lambda: function((blocks,), (_THREADS,), given)


def _pointers(*places: Place) -> list[Any]:
    """The address and the pitch of each place, as kernels take them."""
    return [value for one in places for value in (one.address, np.int32(one.pitch))]


def _numbers(*values: int) -> list[np.int32]:
    return [np.int32(value) for value in values]


def _struct(values: Sequence[int], kind: str) -> Any:
    """A structure that a kernel takes by value."""
    fields = [(f"f{number}", kind) for number in range(len(values))]
    return np.array(tuple(values), np.dtype(fields))
