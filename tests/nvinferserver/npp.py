"""An emulation of NPP's `nppiResizeSqrPixel`, which samples around the centre of each pixel.

The library passes chroma as an image with a quarter of the width and four channels. So the pairs of
chroma with even and odd indices are scaled separately. If the width is not a multiple of four, the
last pair is ignored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from yolostream.doctor.deepstream.letterbox import Rectangle

from .surfaces import Plane, Surface

Weights = npt.NDArray[np.float32]
"""float32 [output samples, input samples]: the weight of each input sample in an output sample."""

Floats = npt.NDArray[np.float64]

_LOBES = 3


@dataclass(frozen=True)
class Axis:
    """The horizontal or vertical axis of a plane that NPP scales."""

    before: float
    """Number of input samples; half of the last one may be outside of the frame."""
    after: float
    """Number of output samples. If half of the last one is outside, NPP omits it."""
    start: float
    """Position of the picture in the tensor, in samples."""

    @property
    def scale(self) -> float:
        """Input samples per output sample."""
        return self.before / self.after

    @property
    def at(self) -> Floats:
        """Positions that NPP samples, in input samples, with its rounding to float32."""
        scale = float(np.float32(self.scale))
        first = float(np.float32((0.5 - self.start) * scale - 0.5))
        at = (np.arange(int(self.after)) + self.start) * scale + first
        return at.astype(np.float32).astype(np.float64)


def scaled(surface: Surface, place: Rectangle, weigh: Callable[[Axis], Weights]) -> Surface:
    """Scale a surface: luma, and the even and odd pairs of chroma, by weights along both axes."""
    (width, height), (left, top, width_after, height_after) = surface.size, place
    luma = _weighed(
        surface.luma[..., np.newaxis],
        weigh(Axis(height, height_after, top)),
        weigh(Axis(width, width_after, left)),
    )
    quads = _weighed(
        _quads(surface.chroma),
        weigh(Axis(height / 2, height_after / 2, top / 2)),
        weigh(Axis(width / 4, width_after / 4, left / 4)),
    )
    chroma = np.zeros((height_after // 2, width_after // 2, 2), np.uint8)
    chroma[:, : quads.shape[1] * 2] = quads.reshape(len(chroma), -1, 2)
    return Surface(luma[..., 0], chroma, surface.bt709)


def _quads(chroma: Plane) -> Plane:
    """Combine pairs of chroma: uint8 [height, width / 2, 4]; zeros complete an odd last pair."""
    height, width, _ = chroma.shape
    return np.pad(chroma, ((0, 0), (0, width % 2), (0, 0))).reshape(height, -1, 4)


def _weighed(plane: Plane, rows: Weights, columns: Weights) -> Plane:
    """Apply weights to the rows, then to the columns, of uint8 [height, width, channels]."""
    height, width, channels = plane.shape
    high = rows @ plane.reshape(height, width * channels).astype(np.float32)
    whole = np.einsum(
        "yxc,nx->ync", high.reshape(len(rows), width, channels), columns, optimize=True
    )
    return (whole + np.float32(0.5)).clip(0, 255).astype(np.uint8)


@cache
def area(axis: Axis) -> Weights:
    """The weights of an area filter, which is the mean of the covered area.

    A last sample that is half outside counts as 0. All samples of the first pixel count as 0 if the
    scale is above 2 and the picture begins at the edge of the tensor.
    """
    samples = np.arange(int(axis.before))
    edges = axis.at[:, np.newaxis] + 0.5 + np.array([-0.5, 0.5]) * axis.scale
    covered = np.minimum(edges[:, 1:], samples + 1) - np.maximum(edges[:, :1], samples)
    weights = np.zeros((len(edges), math.ceil(axis.before)), np.float32)
    weights[:, : len(samples)] = covered.clip(0) / axis.scale
    if axis.scale > 2 and axis.start == 0:
        weights[0] = 0
    return weights


def _kernel(shape: Callable[[Floats], Floats], reach: int) -> Callable[[Axis], Weights]:
    """The weights of a filter that depends on the distance of a sample from the position."""

    @cache
    def weights(axis: Axis) -> Weights:
        """The weights for an axis; samples beyond an edge equal the edge."""
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
    """Of two samples at the same distance, the second one is taken."""
    return ((distance > -0.5) & (distance <= 0.5)).astype(np.float64)


cubic = _kernel(_cubic, 2)
lanczos = _kernel(_lanczos, _LOBES)
nearest = _kernel(_nearest, 1)
"""Filters that depend on the distance of samples."""
