"""Pictures in a GPU's memory, through CuPy, which is imported only where there are any."""

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
    """What keeps this machine from GPU memory, and the fix; empty where nothing does."""
    if importlib.util.find_spec("cupy") is None:
        return f"cupy is not installed ({INSTALL})"
    try:
        import cupy

        cupy.cuda.runtime.getDeviceCount()
    except (ImportError, RuntimeError) as error:
        return (
            f"CUDA finds no GPU ({first_line(error)}): is NVIDIA's driver installed (nvidia-smi)?"
        )
    return ""


def on_host(image: AnyImage) -> Image:
    """The picture in the host's memory: copied there, or as it is.

    Raises:
        FrameError: it lies in a GPU's memory, which cannot be read here.
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
    """The picture as a CuPy array on its own GPU, not copied; waits for the work that fills it."""
    import cupy

    interface = image.__cuda_array_interface__
    address, _ = interface["data"]
    # The picture's GPU becomes the current one: the default stream and `asarray` depend on that.
    with cupy.cuda.Device(cupy.cuda.runtime.pointerGetAttributes(address).device):
        # PyTorch names no stream: its work is on the default one. `asarray` waits for the streams
        # of other libraries, but not for those of CuPy's own arrays.
        cupy.cuda.runtime.streamSynchronize(interface.get("stream") or _DEFAULT_STREAM)
        return cupy.asarray(image)


def first_line(error: BaseException) -> str:
    """What is wrong, without the advice that CUDA's libraries write below."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
