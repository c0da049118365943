"""NvBufSurfTransform on a GPU: from a surface to RGB of another size, by the number of a filter.

Each plane of the surface is scaled by itself, so that 2x2 pixels of the result share a color, and
then turned into RGB. All of it was read from what the library of the package
`nvidia-deepstream-videodecode-cu13` 9.0.2 made of known pictures on an H100; a part of these is in
`tests/data/nvbufsurftransform`.

- Filters 0 and 1 are CUDA's textures. Chroma is a plane of pairs.
- Filters 2 to 5 are NPP's `nppiResizeSqrPixel`, which takes samples around the middle of each
  pixel. It is told that chroma has a quarter of the width and four channels: every second pair is
  scaled with every second. Where the width is no multiple of four, the last pair is in no pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from yolostream.doctor.deepstream.letterbox import Rectangle
from yolostream.image import Image

from .errors import PipelineFailed
from .surfaces import Plane, Surface

NEAREST, BILINEAR, CUBIC, SUPER, LANCZOS, NPP_NEAREST = range(6)

Weights = npt.NDArray[np.float32]
"""float32 [samples after, samples before]: what each sample after takes of those before."""

Floats = npt.NDArray[np.float64]

_TEXTURE_STEPS = 256
"""CUDA weighs texels with eight bits."""
_LOBES = 3


def scaled(surface: Surface, place: Rectangle, number: int) -> Image:
    """Scale to a place in the tensor, whose corner is even.

    Returns:
        uint8 [height, width, 3] of the place, RGB.

    Raises:
        PipelineFailed: the filter `number` ends DeepStream here.
    """
    width, height = surface.size
    if number == SUPER and (place.width >= width or place.height >= height):
        raise PipelineFailed("frame_scaling_filter 3: NPP_RESIZE_FACTOR_ERROR")
    if number in _TEXTURES:
        return colors(_textures(surface, place, _TEXTURES[number]))
    if number in _NPP:
        return colors(_npp(surface, place, _NPP[number]))
    raise NotImplementedError(f"frame_scaling_filter {number}")


def colors(surface: Surface) -> Image:
    """RGB of the same size: each 2x2 pixels have one color difference, levels are cut to whole.

    The numbers are those of the library's kernel `nv12_to_rgb24_kernel`, which has float32.
    """
    red, green_of_red, green_of_blue, blue = _BT709 if surface.bt709 else _BT601
    luma = (surface.luma.astype(np.float32) - 16) * np.float32(1.16438353)
    half = surface.chroma.astype(np.float32) - 128
    b, r = np.moveaxis(half.repeat(2, axis=0).repeat(2, axis=1), -1, 0)
    rgb = np.stack(
        [luma + red * r, luma + green_of_blue * b + green_of_red * r, luma + blue * b], axis=-1
    )
    return rgb.clip(0, 255).astype(np.uint8)


_BT709 = np.float32([1.79274106, -0.53290933, -0.21324861, 2.11240172])
_BT601 = np.float32([1.59602678, -0.81296766, -0.39176229, 2.01723218])
"""Red of red difference, green of red and of blue difference, blue of blue difference."""


def _textures(
    surface: Surface, place: Rectangle, scale: Callable[[Plane, int, int], Plane]
) -> Surface:
    return Surface(
        scale(surface.luma[..., np.newaxis], place.height, place.width)[..., 0],
        scale(surface.chroma, place.height // 2, place.width // 2),
        surface.bt709,
    )


def _nearest_texel(plane: Plane, height: int, width: int) -> Plane:
    """The texel at x * s, which is left of and above the middle of what a pixel covers."""
    rows, columns = (
        np.arange(after) * before // after
        for after, before in zip((height, width), plane.shape, strict=False)
    )
    return plane[np.ix_(rows, columns)]


def _bilinear_texels(plane: Plane, height: int, width: int) -> Plane:
    """Mixes four texels at x * s, half a pixel of the result before the middle of what it covers.

    The four weights are whole 256ths: one is rounded, the others complete rows and columns.
    """
    above, below, down = _between_texels(plane.shape[0], height)
    left, right, across = _between_texels(plane.shape[1], width)
    down, across = down[:, np.newaxis, np.newaxis], across[:, np.newaxis]
    both = (down * across + _TEXTURE_STEPS // 2) // _TEXTURE_STEPS
    mixed = (
        plane[np.ix_(above, left)] * (_TEXTURE_STEPS - down - across + both)
        + plane[np.ix_(above, right)] * (across - both)
        + plane[np.ix_(below, left)] * (down - both)
        + plane[np.ix_(below, right)] * both
    )
    return (mixed // _TEXTURE_STEPS).astype(np.uint8)


def _between_texels(before: int, after: int) -> tuple[npt.NDArray[np.int64], ...]:
    """int64 [after], each: the texels on both sides, and the second's weight in 256ths."""
    at = np.arange(after) * np.float32(before / after) - np.float32(0.5)
    first = np.floor(at).astype(np.int64)
    second = np.rint((at - first) * _TEXTURE_STEPS).astype(np.int64)
    return first.clip(0), (first + 1).clip(max=before - 1), second


_TEXTURES: dict[int, Callable[[Plane, int, int], Plane]] = {
    NEAREST: _nearest_texel,
    BILINEAR: _bilinear_texels,
}
"""By filter: uint8 [height, width, channels] to another height and width."""


@dataclass(frozen=True)
class _Axis:
    """Across or down, of a plane that NPP scales."""

    before: float
    """Samples, the last of which may be half in the frame."""
    after: float
    """Samples, the last of which may be half in the picture; NPP then leaves it out."""
    start: float
    """Where the picture begins in the tensor, in samples."""

    @property
    def scale(self) -> float:
        """Samples before for one after."""
        return self.before / self.after

    @property
    def at(self) -> Floats:
        """Where NPP takes samples, in samples before: as it computes that with float32."""
        scale = float(np.float32(self.scale))
        first = float(np.float32((0.5 - self.start) * scale - 0.5))
        at = (np.arange(int(self.after)) + self.start) * scale + first
        return at.astype(np.float32).astype(np.float64)


def _npp(surface: Surface, place: Rectangle, weigh: Callable[[_Axis], Weights]) -> Surface:
    (width, height), (left, top, width_after, height_after) = surface.size, place
    luma = _weighed(
        surface.luma[..., np.newaxis],
        weigh(_Axis(height, height_after, top)),
        weigh(_Axis(width, width_after, left)),
    )
    quads = _weighed(
        _quads(surface.chroma),
        weigh(_Axis(height / 2, height_after / 2, top / 2)),
        weigh(_Axis(width / 4, width_after / 4, left / 4)),
    )
    chroma = np.zeros((height_after // 2, width_after // 2, 2), np.uint8)
    chroma[:, : quads.shape[1] * 2] = quads.reshape(len(chroma), -1, 2)
    return Surface(luma[..., 0], chroma, surface.bt709)


def _quads(chroma: Plane) -> Plane:
    """uint8 [height, width / 2, 4], two pairs each; beside an odd last one lies 0."""
    height, width, _ = chroma.shape
    return np.pad(chroma, ((0, 0), (0, width % 2), (0, 0))).reshape(height, -1, 4)


def _weighed(plane: Plane, rows: Weights, columns: Weights) -> Plane:
    """Weigh rows, then columns, of uint8 [height, width, channels]."""
    height, width, channels = plane.shape
    high = rows @ plane.reshape(height, width * channels).astype(np.float32)
    whole = np.einsum(
        "yxc,nx->ync", high.reshape(len(rows), width, channels), columns, optimize=True
    )
    return (whole + np.float32(0.5)).clip(0, 255).astype(np.uint8)


@cache
def _area(axis: _Axis) -> Weights:
    """The mean of what a pixel covers.

    A last sample that is half in the frame counts as 0. So does everything of the first pixel,
    where more than two go into one and the picture begins at the edge of the tensor.
    """
    samples = np.arange(int(axis.before))
    edges = axis.at[:, np.newaxis] + 0.5 + np.array([-0.5, 0.5]) * axis.scale
    covered = np.minimum(edges[:, 1:], samples + 1) - np.maximum(edges[:, :1], samples)
    weights = np.zeros((len(edges), math.ceil(axis.before)), np.float32)
    weights[:, : len(samples)] = covered.clip(0) / axis.scale
    if axis.scale > 2 and axis.start == 0:
        weights[0] = 0
    return weights


def _kernel(shape: Callable[[Floats], Floats], reach: int) -> Callable[[_Axis], Weights]:
    """Of a filter that weighs samples by their distance from where it takes one."""

    @cache
    def weights(axis: _Axis) -> Weights:
        """Beyond an edge lies more of the edge."""
        at = axis.at[:, np.newaxis]
        samples = np.floor(at) + np.arange(1 - reach, reach + 1)
        taken = shape(samples - at)
        matrix = np.zeros((len(at), math.ceil(axis.before)), np.float32)
        rows = np.broadcast_to(np.arange(len(at))[:, np.newaxis], samples.shape)
        columns = samples.clip(0, matrix.shape[1] - 1).astype(int)
        np.add.at(matrix, (rows, columns), taken / taken.sum(axis=1, keepdims=True))
        return matrix

    return weights


def _cubic(distance: Floats) -> Floats:
    """The cubic through four samples (Lagrange)."""
    d = np.abs(distance)
    near = (1 - d * d) * (2 - d) / 2
    far = (1 - d) * (2 - d) * (3 - d) / 6
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


def _lanczos(distance: Floats) -> Floats:
    return np.where(np.abs(distance) < _LOBES, np.sinc(distance) * np.sinc(distance / _LOBES), 0)


def _nearest(distance: Floats) -> Floats:
    """Of two at the same distance the second."""
    return ((distance > -0.5) & (distance <= 0.5)).astype(np.float64)


_NPP: dict[int, Callable[[_Axis], Weights]] = {
    CUBIC: _kernel(_cubic, 2),
    SUPER: _area,
    LANCZOS: _kernel(_lanczos, _LOBES),
    NPP_NEAREST: _kernel(_nearest, 1),
}
