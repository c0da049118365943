"""Reads images in GPU memory with CuPy, which is imported when the first one appears."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np

from yolostream.errors import FrameError
from yolostream.image import AnyImage, DeviceImage, Image

if TYPE_CHECKING:
    import cupy

_DEFAULT_STREAM = 0

INSTALL = "pip install 'yolostream[gpu]'"


def missing() -> str:
    """Why this machine cannot use GPU memory, with the fix; empty if it can."""
    if importlib.util.find_spec("cupy") is None:
        return f"cupy is not installed ({INSTALL})"
    try:
        import cupy

        cupy.cuda.runtime.getDeviceCount()
    except (ImportError, RuntimeError) as error:
        return f"CUDA finds no GPU ({first_line(error)}): check NVIDIA's driver (nvidia-smi)"
    return ""


def on_host(image: AnyImage) -> Image:
    """The image in host memory; an image that is there already is not copied.

    Raises:
        FrameError: it is in GPU memory, which this machine cannot read.
    """
    if isinstance(image, np.ndarray):
        return image
    try:
        import cupy

        host: Image = cupy.asnumpy(on_device(image))
    except (ImportError, RuntimeError) as error:
        reason = missing() or first_line(error)
        raise FrameError(f"a frame in GPU memory cannot be read: {reason}") from error
    return host


def on_device(image: DeviceImage) -> cupy.ndarray:
    """The image as a CuPy array on its own GPU, without a copy; waits until it is computed."""
    import cupy

    interface = image.__cuda_array_interface__
    address, _ = interface["data"]
    # The image's GPU is made current, because the default stream and `asarray` depend on it.
    with cupy.cuda.Device(cupy.cuda.runtime.pointerGetAttributes(address).device):
        # An image of PyTorch names no stream, and was computed on the default one. `asarray` does
        # not wait for the streams of CuPy's own arrays, so this does.
        cupy.cuda.runtime.streamSynchronize(interface.get("stream") or _DEFAULT_STREAM)
        return cupy.asarray(image)


def first_line(error: BaseException) -> str:
    """The first line of an error's message. In errors of CUDA, further lines are general advice."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
