"""NvBufSurfTransform on a GPU: from a surface to RGB of another size, by the number of a filter.

Each plane of the surface is scaled by itself, so that 2x2 pixels of the result share a color, and
then turned into RGB.

- Known from runs of the real one: where filters 0 and 1 take their samples, colors and rounding
  (within a level for whole scales, three else); that 2 changes nothing at the size of the frame,
  where 0, 4 and 5 give as many equal boxes; that 3 ends where nothing shrinks.
- Concluded from its symbols, and from the error with which 3 ends: 2 to 5 are NPP's
  `nppiResizeSqrPixel`, which by its documentation takes samples around the middle of each pixel.
- Fitted to the measured share of equal boxes, because NPP's kernels are not published: that these
  scale planes and not RGB, the shapes of 2 and 4, and the nearest pixel of 5.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
from yolostream.image import Image

from .errors import PipelineFailed
from .surfaces import Plane, Surface

NEAREST, BILINEAR, CUBIC, SUPER, LANCZOS, NPP_NEAREST = range(6)

Weights = npt.NDArray[np.float32]
"""float32 [samples after, samples before]: what each sample after takes of those before."""

Distances = npt.NDArray[np.float64]
"""In pixels before, never negative."""

_TEXTURE_STEPS = 256
"""Between two texels: CUDA interpolates textures with eight bits of a fraction."""
_CUBIC_A = -0.5
"""Catmull-Rom. -0.5 and -0.6 are within two points of the measured shares, -0.75 is three away."""
_LOBES = 3


def scaled(surface: Surface, width: int, height: int, number: int) -> Image:
    """uint8 [height, width, 3], RGB.

    Raises:
        PipelineFailed: the filter `number` ends DeepStream here.
    """
    if number not in _WEIGHTS:
        raise NotImplementedError(f"frame_scaling_filter {number}")
    if number == SUPER and (width >= surface.size[0] or height >= surface.size[1]):
        raise PipelineFailed("frame_scaling_filter 3: NPP_RESIZE_FACTOR_ERROR")
    luma = _resized(surface.luma[..., np.newaxis], height, width, number)[..., 0]
    chroma = _resized(surface.chroma, height // 2, width // 2, number)
    return colors(Surface(luma, chroma, surface.bt709))


def colors(surface: Surface) -> Image:
    """RGB of the same size: each 2x2 pixels have one color difference, levels are cut to whole."""
    red, blue = (0.2126, 0.0722) if surface.bt709 else (0.299, 0.114)
    green = 1 - red - blue
    luma = (surface.luma.astype(np.float32) - 16) * (255 / 219)
    half = (surface.chroma.astype(np.float32) - 128) * (255 / 224)
    b, r = np.moveaxis(half.repeat(2, axis=0).repeat(2, axis=1), -1, 0)
    rgb = np.empty((*luma.shape, 3), np.float32)
    rgb[..., 0] = luma + 2 * (1 - red) * r
    rgb[..., 1] = luma - (2 * (1 - red) * red * r + 2 * (1 - blue) * blue * b) / green
    rgb[..., 2] = luma + 2 * (1 - blue) * b
    # What is whole in exact arithmetic, such as white, stays so.
    return (rgb + 1e-3).clip(0, 255).astype(np.uint8)


def _resized(plane: Plane, height: int, width: int, number: int) -> Plane:
    """Weigh rows, then columns, of uint8 [height, width, channels]."""
    weights, rounding = _WEIGHTS[number]
    before_height, before_width, channels = plane.shape
    rows, columns = weights(before_height, height), weights(before_width, width)
    high = rows @ plane.reshape(before_height, before_width * channels).astype(np.float32)
    whole = np.einsum(
        "yxc,nx->ync", high.reshape(height, before_width, channels), columns, optimize=True
    )
    return (whole + np.float32(rounding)).clip(0, 255).astype(np.uint8)


@cache
def _nearest(before: int, after: int) -> Weights:
    """The pixel at x * s, which is left of and above the middle of what a pixel covers."""
    at = np.arange(after) * before // after
    return _spread(at[:, np.newaxis], np.ones((after, 1)), before)


@cache
def _bilinear(before: int, after: int) -> Weights:
    """Mixes two pixels at x * s, half a pixel of the result before the middle of what it covers."""
    at = np.arange(after) * (before / after) - 0.5
    first = np.floor(at)
    second = np.rint((at - first) * _TEXTURE_STEPS) / _TEXTURE_STEPS
    return _spread(first[:, np.newaxis] + [0, 1], np.stack([1 - second, second], axis=1), before)


@cache
def _area(before: int, after: int) -> Weights:
    """The mean of what a pixel covers."""
    edges = np.arange(after + 1) * (before / after)
    pixels = np.arange(before)
    covered = np.minimum(edges[1:, np.newaxis], pixels + 1) - np.maximum(
        edges[:-1, np.newaxis], pixels
    )
    return (covered.clip(0) * (after / before)).astype(np.float32)


def _kernel(shape: Callable[[Distances], Distances], reach: int) -> Callable[[int, int], Weights]:
    """Of a filter that weighs pixels by their distance from where it takes a sample."""

    @cache
    def weights(before: int, after: int) -> Weights:
        at = (np.arange(after) + 0.5) * (before / after) - 0.5
        pixels = np.floor(at)[:, np.newaxis] + np.arange(1 - reach, reach + 1)
        taken = shape(np.abs(pixels - at[:, np.newaxis]))
        return _spread(pixels, taken / taken.sum(axis=1, keepdims=True), before)

    return weights


def _spread(
    pixels: npt.NDArray[np.float64] | npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64],
    before: int,
) -> Weights:
    """As a matrix; beyond an edge lies more of the edge."""
    matrix = np.zeros((len(pixels), before), np.float32)
    rows = np.broadcast_to(np.arange(len(pixels))[:, np.newaxis], pixels.shape)
    np.add.at(matrix, (rows, pixels.clip(0, before - 1).astype(int)), weights)
    return matrix


def _cubic(distance: Distances) -> Distances:
    d, a = distance, _CUBIC_A
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((d - 5) * d + 8) * d * a - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


def _lanczos(distance: Distances) -> Distances:
    return np.where(distance < _LOBES, np.sinc(distance) * np.sinc(distance / _LOBES), 0)


_FLOOR, _ROUND = 0, 0.5
_WEIGHTS: dict[int, tuple[Callable[[int, int], Weights], float]] = {
    NEAREST: (_nearest, _FLOOR),
    BILINEAR: (_bilinear, _FLOOR),
    CUBIC: (_kernel(_cubic, 2), _ROUND),
    SUPER: (_area, _ROUND),
    LANCZOS: (_kernel(_lanczos, _LOBES), _ROUND),
    NPP_NEAREST: (_nearest, _FLOOR),
}
"""What each filter takes, and what it adds before it cuts to whole levels."""
