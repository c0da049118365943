"""Launches of everything but convolutions, on fixed addresses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cupy as cp
import numpy as np

from .convolutions import Map
from .decoder import Decoder
from .plan import Activation
from .precision import BYTES

_THREADS = 256
_MOST_BLOCKS = 1 << 20
_PACK_BYTES = 16
_ACTIVATIONS: dict[Activation, int] = {"none": 0, "silu": 1, "leaky": 2, "relu": 3, "sigmoid": 4}
"""As `activated` in kernels.cu has them."""
_FOLDER = Path(__file__).parent

Launch = Callable[[], None]


def bytes_of(one: Map) -> int:
    """Of a map of one image."""
    return one.height * one.width * one.pitch * BYTES[one.kind]


def packs_of(one: Map, channels: int) -> int:
    """Packs of 16 bytes that so many channels are."""
    return channels * BYTES[one.kind] // _PACK_BYTES


class Kernels:
    """The kernels of kernels.cu, compiled for the current device."""

    def __init__(self) -> None:
        self._module = cp.RawModule(code=_text("half.cuh") + _text("kernels.cu"))

    def convert(self, batch: int, images: int, channels: int, target: Map, address: int) -> Launch:
        """Float32 images [batch, channels, H, W] to maps."""
        pixels = target.height * target.width
        numbers = (_pitch(target), channels, pixels, batch * pixels)
        return self._launch("convert", batch * pixels, images, address, *map(np.int32, numbers))

    def pool(
        self, batch: int, ends: tuple[tuple[Map, int], tuple[Map, int]], window: Sequence[int]
    ) -> Launch:
        """Largest values: `window` is kernel, stride, pad; `ends` are maps with addresses."""
        (source, read), (target, written) = ends
        packs = packs_of(target, target.channels)
        count = batch * target.height * target.width * packs
        sizes = (source.height, source.width, target.height, target.width, *window)
        return self._launch(
            f"pool_{target.kind}",
            count,
            read,
            np.int32(_pitch(source)),
            written,
            *map(np.int32, (_pitch(target), packs)),
            _struct(sizes),
            np.int32(count),
        )

    def upsample(
        self, batch: int, ends: tuple[tuple[Map, int], tuple[Map, int]], scale: int
    ) -> Launch:
        """Each pixel `scale` times in both directions."""
        (source, read), (target, written) = ends
        packs = packs_of(target, target.channels)
        count = batch * target.height * target.width * packs
        numbers = (_pitch(target), packs, source.height, source.width, scale, count)
        return self._launch(
            "upsample", count, read, np.int32(_pitch(source)), written, *map(np.int32, numbers)
        )

    def add(self, batch: int, maps: Sequence[tuple[Map, int]]) -> Launch:
        """The sum of two maps: first, second, result, with their addresses."""
        (one, first), (other, second), (target, written) = maps
        packs = packs_of(target, target.channels)
        count = batch * target.height * target.width * packs
        return self._launch(
            "add",
            count,
            first,
            np.int32(_pitch(one)),
            second,
            np.int32(_pitch(other)),
            written,
            *map(np.int32, (_pitch(target), packs, count)),
        )

    def finish(
        self,
        batch: int,
        ends: tuple[tuple[Map, int], tuple[Map, int]],
        bias: int,
        activation: Activation,
        slope: float,
        *,
        added: tuple[Map, int] | None,
    ) -> Launch:
        """Bias, activation and an added map; `ends` are maps with addresses."""
        (source, read), (target, written) = ends
        packs = packs_of(target, target.channels)
        count = batch * target.height * target.width * packs
        other, pitch = (0, 0) if added is None else (added[1], _pitch(added[0]))
        return self._launch(
            "finish",
            count,
            read,
            np.int32(_pitch(source)),
            written,
            np.int32(_pitch(target)),
            bias,
            np.int32(_ACTIVATIONS[activation]),
            np.float32(slope),
            other,
            *map(np.int32, (pitch, packs, count)),
        )

    def _launch(self, name: str, count: int, *arguments: Any) -> Launch:
        return launch_of(self._module.get_function(name), count, *arguments)


def decoding(decoder: Decoder, maps: Sequence[tuple[Map, int]], batch: int, rows: int) -> Launch:
    """The rows of the output at an address, from maps with theirs.

    Args:
        decoder: Its source and constants.
        maps: In the decoder's order.
        batch: Images.
        rows: Address of float32 [batch, rows, 6].
    """
    source = decoder.source([one.pitch for one, _ in maps])
    module = cp.RawModule(code=_text("half.cuh") + source + _text("decode.cu"))
    constants = cp.asarray(decoder.constants)
    count = batch * decoder.rows
    addresses = _struct([address for _, address in maps], "u8")
    launch = launch_of(
        module.get_function("decode"), count, addresses, constants, rows, np.int32(count)
    )
    cp.cuda.Device().synchronize()
    return launch


def launch_of(function: Any, count: int, *arguments: Any) -> Launch:
    """A kernel for so many elements; addresses are Python's integers."""
    blocks = min(-(-count // _THREADS), _MOST_BLOCKS)
    given = tuple(np.uint64(one) if isinstance(one, int) else one for one in arguments)

    def launch() -> None:
        function((blocks,), (_THREADS,), given)

    return launch


def _struct(values: Sequence[int], kind: str = "i4") -> Any:
    """A structure that a kernel takes by value."""
    fields = [(f"f{number}", kind) for number in range(len(values))]
    return np.array(tuple(values), np.dtype(fields))


def _pitch(one: Map) -> int:
    return packs_of(one, one.pitch)


def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
