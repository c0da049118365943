"""A small part of the library's output on an H100: the emulation's reference without a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from yolostream.image import Image

from tests.nvinferserver.scaling import SUPER, scaled

from .cases import CASES, FILTERS, FULL_FRAME, Case
from .patterns import RATIOS, requests

FILE = Path(__file__).parents[1] / "data" / "nvbufsurftransform" / "recorded.npz"
"""uint8 arrays, by the names of `parts`."""
_ODD_SIZES = ((1366, 768), (704, 576))
"""Sizes of frames whose scale is not an integer."""
_LINES = ("noise_0", "chroma_noise")
_COLORS = ("colors_709", "colors_601")
_CORNER = 16


@dataclass(frozen=True)
class Part:
    number: int
    """frame_scaling_filter."""
    of: str
    """The image's name in the filter's archive from `python -m tests.nvbufsurftransform`."""
    kept: tuple[slice, slice]
    """The rows and columns of the image that are recorded."""
    replayed: Callable[[], Image]
    """Returns the whole image from the emulation."""

    def __str__(self) -> str:
        rows, columns = self.kept
        return f"{self.number}/{self.of}/{rows.start}/{columns.start}"


def parts() -> Iterator[Part]:
    for case in CASES:
        if case.size in _ODD_SIZES and not (case.number == SUPER and case.mode == FULL_FRAME):
            for kept in _corners(case):
                yield Part(case.number, f"{case.mode}/{case.size_name}", kept, case.replayed)
    for number in FILTERS:
        for ratio, (before, after) in RATIOS.items():
            if number != SUPER or after < before:
                yield from _parts_of_patterns(number, ratio)


def _corners(case: Case) -> Iterator[tuple[slice, slice]]:
    """The first and the last corner of the picture; for a full frame only the last one."""
    left, top, width, height = case.place.landed
    if case.mode == FULL_FRAME:
        yield slice(-_CORNER, None), slice(-_CORNER, None)
        return
    for x, y in ((left, top), (left + width - _CORNER, top + height - _CORNER)):
        yield slice(y, y + _CORNER), slice(x, x + _CORNER)


def _parts_of_patterns(number: int, ratio: str) -> Iterator[Part]:
    """A line of each pattern that varies along one axis, and a corner of the colors."""
    whole = slice(0, None)
    for name, request in requests(ratio, number).items():
        width, height = request.tensor
        row, column = slice(height // 2, height // 2 + 1), slice(width // 2, width // 2 + 1)
        kept = {
            **{f"{line}_x": (row, whole) for line in _LINES},
            **{f"{line}_y": (whole, column) for line in _LINES},
            **dict.fromkeys(_COLORS, (slice(0, _CORNER), slice(0, _CORNER))),
        }.get(name)
        if kept:
            yield Part(
                number,
                f"patterns/{ratio}/{name}",
                kept,
                partial(scaled, request.surface, request.rectangle, request.number),
            )
