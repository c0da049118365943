"""The GPU of a step's process. Each step that can use a GPU has an equal copy of this file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import triton_python_backend_utils as pb_utils

_CUDA_VARIABLE_PREFIX = "CUDA_"
"""Prefix of the model's parameters that are set as environment variables of CUDA."""
_STACK_BYTES = 256
"""Stack size of a GPU thread, for kernels with recursion or function pointers. For all others the
compiler computes the size. CUDA's default of 1,024 bytes takes 200 MB of memory on a large GPU."""


class Gpu:
    """One GPU, with a CUDA stream of its own.

    Args:
        config: The model's configuration. Its parameters `CUDA_...` become environment variables.
        number: CUDA's number of the GPU.

    Raises:
        TritonModelException: CuPy is missing, or there is no such GPU; the message has the fix.
    """

    def __init__(self, config: dict[str, Any], number: int) -> None:
        self._step, self._number = config["name"], number
        for name, value in config["parameters"].items():
            if name.startswith(_CUDA_VARIABLE_PREFIX):
                # CUDA reads them when it is initialized below. The environment has priority.
                os.environ.setdefault(name, value["string_value"])
        with self.opening():
            import cupy

            self._cupy, runtime = cupy, cupy.cuda.runtime
            others = set(range(runtime.getDeviceCount())) - {number}
        # Tensors may come from any GPU. CUDA is initialized on all of them now, because that takes
        # too long when a frame waits for it.
        for device in (*others, number):
            with self.opening(device):
                cupy.cuda.Device(device).use()
                runtime.deviceSetLimit(runtime.cudaLimitStackSize, _STACK_BYTES)
        with self.opening():
            self.stream = cupy.cuda.Stream(non_blocking=True)

    @contextlib.contextmanager
    def opening(self, device: int | None = None) -> Iterator[None]:
        """Turn a setup error of this GPU, or of `device`, into an error with the fix."""
        try:
            yield
        except (ValueError, FileNotFoundError) as error:
            # The model or its configuration is wrong, and the message has the fix.
            raise pb_utils.TritonModelException(f"{self._step}: {error}") from error
        except Exception as error:
            number = self._number if device is None else device
            raise pb_utils.TritonModelException(
                f"{self._step} cannot use GPU {number} ({type(error).__name__}: {error}): "
                "install the packages with 'yolostream install-server --profile onnx-gpu', update "
                "the driver, free the GPU, hide it with CUDA_VISIBLE_DEVICES, or serve the profile "
                "'cpu'"
            ) from error

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Run the block on the stream, then wait until the stream has finished.

        Triton reads the outputs as soon as it has the response, so they have to be complete.

        Raises:
            MemoryError: The GPU's memory is full.
            TritonModelException: Any other error, for example a lost GPU.
        """
        try:
            with self.stream:
                yield
            self.stream.synchronize()
        except MemoryError as error:
            raise MemoryError(
                f"{self._step} has no memory left on GPU {self._number} ({error}): free the GPU"
            ) from error
        except Exception as error:
            raise pb_utils.TritonModelException(
                f"{self._step} failed on GPU {self._number} ({error}): if that repeats, restart "
                "the server, or serve the profile 'cpu'"
            ) from error

    def array(self, tensor: pb_utils.Tensor) -> Any:
        """A tensor in any memory as an array in this GPU's memory. Call it inside `computing`."""
        if tensor.is_cpu():
            # Triton's pool of GPU memory was full, so the tensor is in host memory.
            return self._cupy.asarray(tensor.as_numpy())
        # A capsule is imported without synchronization, because the previous step has finished.
        array = self._cupy.from_dlpack(tensor.to_dlpack())
        if array.data.device_id == self._number:
            return array
        # Kernels cannot read another GPU's memory, so the array is copied.
        here = self._cupy.empty_like(array)
        here.data.copy_from_device_async(array.data, array.nbytes)
        return here

    def tensor(self, name: str, array: Any) -> pb_utils.Tensor:
        """An array in this GPU's memory as a tensor. Call it after `computing`."""
        return pb_utils.Tensor.from_dlpack(name, array.__dlpack__(stream=-1))
