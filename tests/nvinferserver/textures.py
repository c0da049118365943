"""CUDA's textures: the texels at and around x * s, of luma and of pairs of chroma."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from yolostream.doctor.deepstream.letterbox import Rectangle

from .surfaces import Plane, Surface

_STEPS = 256
"""Texels are weighed with eight bits."""


def scaled(
    surface: Surface, place: Rectangle, scale: Callable[[Plane, int, int], Plane]
) -> Surface:
    """Both planes, scaled by themselves to uint8 [height, width, channels] of another size."""
    return Surface(
        scale(surface.luma[..., np.newaxis], place.height, place.width)[..., 0],
        scale(surface.chroma, place.height // 2, place.width // 2),
        surface.bt709,
    )


def nearest(plane: Plane, height: int, width: int) -> Plane:
    """The texel at x * s, which is left of and above the middle of what a pixel covers."""
    rows, columns = (
        np.arange(after) * before // after
        for after, before in zip((height, width), plane.shape, strict=False)
    )
    return plane[np.ix_(rows, columns)]


def bilinear(plane: Plane, height: int, width: int) -> Plane:
    """Mixes four texels at x * s, half a pixel of the result before the middle of what it covers.

    The four weights are whole 256ths: one is rounded, the others complete rows and columns.
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
    """int64 [after], each: the texels on both sides, and the second's weight in 256ths."""
    at = np.arange(after) * np.float32(before / after) - np.float32(0.5)
    first = np.floor(at).astype(np.int64)
    second = np.rint((at - first) * _STEPS).astype(np.int64)
    return first.clip(0), (first + 1).clip(max=before - 1), second
