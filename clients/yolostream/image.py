"""The image types of this package, in host memory and GPU memory."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from yolostream.errors import FrameError

Image = npt.NDArray[np.uint8]
"""uint8 [height, width, 3], RGB."""


class DeviceImage(Protocol):
    """The same in GPU memory: an array of any library with the CUDA Array Interface.

    CuPy, PyTorch and Numba have it, for example.
    """

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Address, shape and type, by the CUDA Array Interface."""


AnyImage = Image | DeviceImage


def size_of(image: AnyImage) -> tuple[int, int]:
    """Height and width in pixels."""
    if isinstance(image, np.ndarray):
        return image.shape[0], image.shape[1]
    height, width, _ = image.__cuda_array_interface__["shape"]
    return height, width


def downscaled(height: int, width: int, *, fit: tuple[int, int]) -> tuple[int, int]:
    """Height and width after downscaling to fit into `fit` (height, width); never enlarged."""
    ratio = min(fit[0] / height, fit[1] / width, 1.0)
    return max(1, round(height * ratio)), max(1, round(width * ratio))


def check(image: object) -> None:
    """Check that a frame is an `AnyImage`.

    Raises:
        FrameError: it is not uint8 [height, width, 3].
    """
    if isinstance(image, np.ndarray):
        dtype, shape = image.dtype, list(image.shape)
    elif hasattr(image, "__cuda_array_interface__"):
        interface = image.__cuda_array_interface__
        dtype, shape = np.dtype(interface["typestr"]), list(interface["shape"])
    else:
        raise FrameError(f"a frame must be a uint8 array, got {type(image)}")
    if dtype != np.uint8:
        raise FrameError(f"a frame must be a uint8 array, got {dtype}")
    if len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise FrameError(f"a frame must be [height, width, 3] RGB, got {shape}")
