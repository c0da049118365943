"""Converts NVDEC's pictures (NV12 in GPU memory) to RGB; values differ from FFmpeg's by 4 at most.

The same kernel scales, so that a downscaled picture needs no RGB copy in full size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from yolostream.sources.orientation import Orientation

if TYPE_CHECKING:
    import cupy

_BLOCK = 32, 8
_KERNEL = r"""
extern "C" __global__ void nv12_to_rgb(
    const unsigned char* nv12, unsigned char* rgb,
    int source_height, int source_width, int height, int width, int mirrored, int turns,
    float black, float luma, float red_v, float green_u, float green_v, float blue_u)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    // The centre of the pixel in the source, as in OpenCV's bilinear resize.
    const float sx = fminf(fmaxf((x + 0.5f) * source_width / width - 0.5f, 0.0f), source_width - 1);
    const float sy =
        fminf(fmaxf((y + 0.5f) * source_height / height - 0.5f, 0.0f), source_height - 1);
    const int left = (int)sx, top = (int)sy;
    const int right = min(left + 1, source_width - 1), bottom = min(top + 1, source_height - 1);
    const float rightness = sx - left, lowness = sy - top;
    const unsigned char* upper = nv12 + top * source_width;
    const unsigned char* lower = nv12 + bottom * source_width;
    const float above = upper[left] + rightness * (upper[right] - upper[left]);
    const float below = lower[left] + rightness * (lower[right] - lower[left]);
    const unsigned char* chroma = nv12 + source_height * source_width
        + (int)(sy + 0.5f) / 2 * source_width + (int)(sx + 0.5f) / 2 * 2;
    const float light = luma * (above + lowness * (below - above) - black);
    const float u = chroma[0] - 128.0f, v = chroma[1] - 128.0f;
    const int across = mirrored ? width - 1 - x : x;
    int row = y, column = across, columns = width;
    if (turns == 1) { row = width - 1 - across; column = y; columns = height; }
    if (turns == 2) { row = height - 1 - y; column = width - 1 - across; }
    if (turns == 3) { row = across; column = height - 1 - y; columns = height; }
    unsigned char* pixel = rgb + 3 * (row * columns + column);
    const float colors[3] = {
        light + red_v * v, light + green_u * u + green_v * v, light + blue_u * u};
    for (int i = 0; i < 3; ++i)
        // Truncated, not rounded, as in FFmpeg.
        pixel[i] = (unsigned char)fminf(fmaxf(colors[i], 0.0f), 255.0f);
}
"""

_BT709 = 0.2126, 0.0722
_BT601 = 0.299, 0.114
_BT2020 = 0.2627, 0.0593
# By AVColorSpace. Any other value, also an unspecified one, counts as BT.601, as in FFmpeg.
_WEIGHTS = {1: _BT709, 7: _BT709, 9: _BT2020, 10: _BT2020}


class Nv12ToRgb:
    """Converts the pictures of one stream to RGB and makes them upright.

    Args:
        colorspace: the stream's AVColorSpace.
        full_range: whether luma is 0 to 255, not 16 to 235.
        orientation: how the pictures are stored.
    """

    def __init__(self, *, colorspace: int, full_range: bool, orientation: Orientation) -> None:
        self._orientation = orientation
        self._coefficients = coefficients(colorspace, full_range=full_range)
        self._kernel: cupy.RawKernel | None = None

    def compile(self) -> None:
        """Compile the kernel."""
        import cupy

        self._kernel = cupy.RawKernel(_KERNEL, "nv12_to_rgb")
        self._kernel.compile()

    def __call__(
        self,
        address: int,
        size: tuple[int, int],
        height: int,
        width: int,
        *,
        stream: cupy.cuda.Stream,
    ) -> cupy.ndarray:
        """Convert one picture, and wait for the result.

        Args:
            address: GPU address of uint8 [H * 3 / 2, W]: luma, then U and V interleaved.
            size: height H and width W of that picture, even.
            height: height of the result. The picture is scaled bilinearly if it has another one.
            width: width of the result.
            stream: the CUDA stream on which the picture was decoded.

        Returns:
            uint8 [height, width, 3], RGB, upright, in newly allocated GPU memory.
        """
        import cupy

        if self._kernel is None:
            self.compile()
        assert self._kernel is not None
        orientation = self._orientation
        before_turning = orientation.size((height, width))
        with stream:
            rgb = cupy.empty((height, width, 3), cupy.uint8)
            grid = -(-before_turning[1] // _BLOCK[0]), -(-before_turning[0] // _BLOCK[1])
            numbers = [*size, *before_turning, orientation.is_mirrored, orientation.turns]
            sizes = np.array(numbers, np.int32)
            self._kernel(grid, _BLOCK, (np.uint64(address), rgb, *sizes, *self._coefficients))
            stream.synchronize()
        return rgb


def coefficients(colorspace: int, *, full_range: bool) -> npt.NDArray[np.float32]:
    """The coefficients of the conversion from YUV to RGB.

    Args:
        colorspace: the stream's AVColorSpace.
        full_range: whether luma is 0 to 255, not 16 to 235.

    Returns:
        float32 [6]: the luma of black, and the factors of luma (for all colors), V for red, U and
        V for green, and U for blue. They apply to luma minus black, U minus 128 and V minus 128.
    """
    red, blue = _WEIGHTS.get(colorspace, _BT601)
    green = 1 - red - blue
    black, luma, chroma = (0.0, 1.0, 1.0) if full_range else (16.0, 255 / 219, 255 / 224)
    red_v, blue_u = 2 * chroma * (1 - red), 2 * chroma * (1 - blue)
    return np.array(
        [black, luma, red_v, -blue_u * blue / green, -red_v * red / green, blue_u], np.float32
    )
