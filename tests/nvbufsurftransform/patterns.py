"""Test patterns, whose downscaled versions show the weights of a filter."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from yolostream.doctor.deepstream.letterbox import Rectangle, Size

from tests.nvinferserver.surfaces import Plane, Surface

from .library import Request

RATIOS: dict[str, tuple[Size, Size]] = {
    "3": ((960, 288), (320, 96)),
    "2.25": ((1440, 288), (640, 128)),
    "2": ((1280, 256), (640, 128)),
    "1.1": ((704, 176), (640, 160)),
    "1": ((640, 160), (640, 160)),
    "0.75": ((480, 120), (640, 160)),
}
"""Input and output sizes, with the same ratio horizontally and vertically."""

_DARKEST, _MIDDLE, _BRIGHTEST, _NEUTRAL = 16, 126, 235, 128
_SEEDS = range(3)
# Prime numbers, so that every distance from the centre of a sample occurs.
_BETWEEN_LINES, _BETWEEN_STEPS = 41, 97
_BLOCK = 8
"""Width and height of a square of one color, in pixels."""


def patterns(size: Size) -> Iterator[tuple[str, Surface]]:
    """All patterns by name; `_x` varies only horizontally, `_y` only vertically."""
    width, height = size
    for axis, length in (("x", width), ("y", height)):
        for name, line in _lines(length):
            yield f"{name}_{axis}", _gray(_spread(line, axis, size))
        chroma = np.random.default_rng(9).integers(64, 193, (length // 2, 2), np.uint8)
        half = (height // 2, width // 2, 2)
        across = chroma[np.newaxis] if axis == "x" else chroma[:, np.newaxis]
        yield f"chroma_noise_{axis}", _colored(np.broadcast_to(across, half))
    for name, bt709 in (("colors_709", True), ("colors_601", False)):
        yield name, _blocks(size, bt709=bt709)
    rng = np.random.default_rng(10)
    yield "noise_xy", _gray(rng.integers(_DARKEST, _BRIGHTEST + 1, (height, width), np.uint8))
    yield (
        "chroma_noise_xy",
        _colored(rng.integers(64, 193, (height // 2, width // 2, 2), np.uint8)),
    )


def requests(ratio: str, number: int) -> dict[str, Request]:
    """The requests for every pattern with a filter."""
    before, after = RATIOS[ratio]
    whole = Rectangle(0, 0, *after)
    return {name: Request(one, after, whole, number) for name, one in patterns(before)}


def _lines(length: int) -> Iterator[tuple[str, Plane]]:
    """Lines of luma, uint8 [length], by name."""
    at = np.arange(length)
    on_line = at % _BETWEEN_LINES == _BETWEEN_LINES // 2
    yield "bright_lines", np.where(on_line, _BRIGHTEST, 100).astype(np.uint8)
    yield "dark_lines", np.where(on_line, _DARKEST, 150).astype(np.uint8)
    yield "steps", np.where(at // _BETWEEN_STEPS % 2, 200, 60).astype(np.uint8)
    yield "slope", (_DARKEST + at % (_BRIGHTEST - _DARKEST + 1)).astype(np.uint8)
    for seed in _SEEDS:
        rng = np.random.default_rng(seed)
        yield f"noise_{seed}", rng.integers(_DARKEST, _BRIGHTEST + 1, length, np.uint8)


def _spread(line: Plane, axis: str, size: Size) -> Plane:
    width, height = size
    return np.broadcast_to(line if axis == "x" else line[:, np.newaxis], (height, width)).copy()


def _gray(luma: Plane) -> Surface:
    height, width = luma.shape
    return Surface(luma, np.full((height // 2, width // 2, 2), _NEUTRAL, np.uint8), bt709=True)


def _blocks(size: Size, *, bt709: bool) -> Surface:
    """Squares of one color, whose centres no filter mixes with neighbors."""
    width, height = size
    rng = np.random.default_rng(11)
    colors = rng.integers(0, 256, (height // _BLOCK, width // _BLOCK, 3), np.uint8)
    luma = colors[..., 0].repeat(_BLOCK, axis=0).repeat(_BLOCK, axis=1)
    half = _BLOCK // 2
    return Surface(luma, colors[..., 1:].repeat(half, axis=0).repeat(half, axis=1), bt709)


def _colored(chroma: Plane) -> Surface:
    height, width, _ = chroma.shape
    return Surface(np.full((2 * height, 2 * width), _MIDDLE, np.uint8), chroma.copy(), bt709=True)
