"""From NVDEC's pictures, NV12 in GPU memory, to RGB: as FFmpeg does it, to four of 255 levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import cupy

_BLOCK = 32, 8
_KERNEL = r"""
extern "C" __global__ void nv12_to_rgb(
    const unsigned char* nv12, unsigned char* rgb, int height, int width, int turns,
    float black, float luma, float red_v, float green_u, float green_v, float blue_u)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const unsigned char* chroma = nv12 + height * width + y / 2 * width + x / 2 * 2;
    const float light = luma * (nv12[y * width + x] - black);
    const float u = chroma[0] - 128.0f, v = chroma[1] - 128.0f;
    int row = y, column = x, columns = width;
    if (turns == 1) { row = width - 1 - x; column = y; columns = height; }
    if (turns == 2) { row = height - 1 - y; column = width - 1 - x; }
    if (turns == 3) { row = x; column = height - 1 - y; columns = height; }
    unsigned char* pixel = rgb + 3 * (row * columns + column);
    const float colors[3] = {
        light + red_v * v, light + green_u * u + green_v * v, light + blue_u * u};
    for (int i = 0; i < 3; ++i)
        // Cut off, not rounded, as FFmpeg does.
        pixel[i] = (unsigned char)fminf(fmaxf(colors[i], 0.0f), 255.0f);
}
"""

_BT709 = 0.2126, 0.0722
_BT601 = 0.299, 0.114
_BT2020 = 0.2627, 0.0593
# By AVColorSpace; FFmpeg takes the rest for BT.601, also what is not tagged.
_WEIGHTS = {1: _BT709, 7: _BT709, 9: _BT2020, 10: _BT2020}


class Nv12ToRgb:
    """Converts the pictures of one stream, and turns them upright.

    Args:
        colorspace: the stream's AVColorSpace.
        full_range: luma goes from 0 to 255, not from 16 to 235.
        turns: quarter turns counterclockwise.
    """

    def __init__(self, *, colorspace: int, full_range: bool, turns: int) -> None:
        self._turns = turns % 4
        self._coefficients = coefficients(colorspace, full_range=full_range)
        self._kernel: cupy.RawKernel | None = None

    def __call__(
        self, address: int, *, height: int, width: int, stream: cupy.cuda.Stream
    ) -> cupy.ndarray:
        """Convert one picture, and wait until it is done.

        Args:
            address: of uint8 [height * 3 / 2, width] in GPU memory: luma, then U and V by turns.
            height: of the picture before it is turned, even.
            width: the same.
            stream: on which the picture is made.

        Returns:
            uint8 [H, W, 3], RGB, in GPU memory of its own.
        """
        import cupy

        if self._kernel is None:
            self._kernel = cupy.RawKernel(_KERNEL, "nv12_to_rgb")
        shape = (width, height, 3) if self._turns % 2 else (height, width, 3)
        with stream:
            rgb = cupy.empty(shape, cupy.uint8)
            grid = -(-width // _BLOCK[0]), -(-height // _BLOCK[1])
            sizes = np.array([height, width, self._turns], np.int32)
            self._kernel(grid, _BLOCK, (np.uint64(address), rgb, *sizes, *self._coefficients))
            stream.synchronize()
        return rgb


def coefficients(colorspace: int, *, full_range: bool) -> npt.NDArray[np.float32]:
    """What a picture is converted with.

    Returns:
        float32 [6]: black, and factors of luma (for all colors), V for red, U and V for green, U
        for blue. Luma counts from black, U and V from 128.
    """
    red, blue = _WEIGHTS.get(colorspace, _BT601)
    green = 1 - red - blue
    black, luma, chroma = (0.0, 1.0, 1.0) if full_range else (16.0, 255 / 219, 255 / 224)
    red_v, blue_u = 2 * chroma * (1 - red), 2 * chroma * (1 - blue)
    return np.array(
        [black, luma, red_v, -blue_u * blue / green, -red_v * red / green, blue_u], np.float32
    )
