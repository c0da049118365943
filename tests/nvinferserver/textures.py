"""An emulation of scaling by CUDA's textures, for luma and for pairs of chroma."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from yolostream.doctor.deepstream.letterbox import Rectangle

from .surfaces import Plane, Surface

_STEPS = 256
"""Weights of texels have eight bits."""


def scaled(
    surface: Surface, place: Rectangle, scale: Callable[[Plane, int, int], Plane]
) -> Surface:
    """Scale both planes separately by `scale`, to uint8 [height, width, channels]."""
    return Surface(
        scale(surface.luma[..., np.newaxis], place.height, place.width)[..., 0],
        scale(surface.chroma, place.height // 2, place.width // 2),
        surface.bt709,
    )


def nearest(plane: Plane, height: int, width: int) -> Plane:
    """Take the texel at x * s, which is left of and above the centre of the covered area."""
    rows, columns = (
        np.arange(after) * before // after
        for after, before in zip((height, width), plane.shape, strict=False)
    )
    return plane[np.ix_(rows, columns)]


def bilinear(plane: Plane, height: int, width: int) -> Plane:
    """Mix four texels at x * s, half an output pixel before the centre of the covered area.

    The four weights are multiples of 1/256. One is rounded, and the others follow from the sums of
    rows and columns.
    """
    above, below, down = _between_texels(plane.shape[0], height)
    left, right, across = _between_texels(plane.shape[1], width)
    down, across = down[:, np.newaxis, np.newaxis], across[:, np.newaxis]
    both = (down * across + _STEPS // 2) // _STEPS
    mixed = (
        plane[np.ix_(above, left)] * (_STEPS - down - across + both)
        + plane[np.ix_(above, right)] * (across - both)
        + plane[np.ix_(below, left)] * (down - both)
        + plane[np.ix_(below, right)] * both
    )
    return (mixed // _STEPS).astype(np.uint8)


def _between_texels(before: int, after: int) -> tuple[npt.NDArray[np.int64], ...]:
    """int64 [after] each: the texels on both sides, and the weight of the second in 1/256."""
    at = np.arange(after) * np.float32(before / after) - np.float32(0.5)
    first = np.floor(at).astype(np.int64)
    second = np.rint((at - first) * _STEPS).astype(np.int64)
    return first.clip(0), (first + 1).clip(max=before - 1), second
