"""An emulation of NvBufSurfTransform, which scales a surface to RGB by a numbered filter.

Each plane of the surface is scaled separately and then converted to RGB, so that 2x2 pixels of the
result share a color. All of it was derived from the output of the library of the package
`nvidia-deepstream-videodecode-cu13` 9.0.2 for known pictures on an H100; a part of these is in
`tests/data/nvbufsurftransform`.

Filters 0 and 1 are `textures`, filters 2 to 5 are `npp`.
"""

from __future__ import annotations

import numpy as np
from yolostream.doctor.deepstream.letterbox import Rectangle
from yolostream.image import Image

from . import npp, textures
from .errors import PipelineFailed
from .surfaces import Surface

NEAREST, BILINEAR, CUBIC, SUPER, LANCZOS, NPP_NEAREST = range(6)

_TEXTURES = {NEAREST: textures.nearest, BILINEAR: textures.bilinear}
_NPP = {CUBIC: npp.cubic, SUPER: npp.area, LANCZOS: npp.lanczos, NPP_NEAREST: npp.nearest}


def scaled(surface: Surface, place: Rectangle, number: int) -> Image:
    """Scale a surface to a rectangle of the tensor whose corner is even.

    Returns:
        uint8 [height, width, 3], RGB: the rectangle.

    Raises:
        PipelineFailed: the filter `number` would end DeepStream for these sizes.
    """
    width, height = surface.size
    if number == SUPER and (place.width >= width or place.height >= height):
        raise PipelineFailed("frame_scaling_filter 3: NPP_RESIZE_FACTOR_ERROR")
    if number in _TEXTURES:
        return colors(textures.scaled(surface, place, _TEXTURES[number]))
    if number in _NPP:
        return colors(npp.scaled(surface, place, _NPP[number]))
    raise NotImplementedError(f"frame_scaling_filter {number}")


def colors(surface: Surface) -> Image:
    """Convert to RGB of the same size. 2x2 pixels share one chroma sample; levels are truncated.

    The coefficients are those of the library's kernel `nv12_to_rgb24_kernel`, in float32.
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
"""Factors of red by Cr, green by Cr, green by Cb, and blue by Cb."""
