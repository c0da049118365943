"""The GPU of one process of a step. Every step that can use one has the same copy of this file."""

from __future__ import annotations

import contextlib
import os

import triton_python_backend_utils as pb_utils

_CUDA_VARIABLE_PREFIX = "CUDA_"
"""Prefix of a model's parameters that are environment variables of CUDA."""
_STACK_BYTES = 256
"""Stack of a GPU thread in kernels whose need the compiler cannot compute: those with recursion or
function pointers. Other kernels get what they need. CUDA's default of 1,024 bytes costs 200 MB on a
whole GPU."""


class Gpu:
    """A device with a stream of its own.

    Args:
        config: Of the model; its parameters `CUDA_...` become environment variables.
        number: CUDA's number of the device.

    Raises:
        TritonModelException: There is no CuPy, or no such GPU; says what to do.
    """

    def __init__(self, config, number):
        self._step, self._number = config["name"], number
        for name, value in config["parameters"].items():
            if name.startswith(_CUDA_VARIABLE_PREFIX):
                # CUDA reads them when it starts, just below. The server's environment goes first.
                os.environ.setdefault(name, value["string_value"])
        with self.opening():
            import cupy

            self._cupy, runtime = cupy, cupy.cuda.runtime
            others = set(range(runtime.getDeviceCount())) - {number}
        # Tensors may come from any GPU. CUDA starts on all now, so that no frame waits for that.
        for device in (*others, number):
            with self.opening(device):
                cupy.cuda.Device(device).use()
                runtime.deviceSetLimit(runtime.cudaLimitStackSize, _STACK_BYTES)
        with self.opening():
            self.stream = cupy.cuda.Stream(non_blocking=True)

    @contextlib.contextmanager
    def opening(self, device=None):
        """Turn an error during setup on this GPU, or on `device`, into one that says what to do."""
        try:
            yield
        except (ValueError, FileNotFoundError) as error:
            # An error of the model or its configuration, which says what to do.
            raise pb_utils.TritonModelException(f"{self._step}: {error}") from error
        except Exception as error:
            number = self._number if device is None else device
            raise pb_utils.TritonModelException(
                f"{self._step} cannot use GPU {number} ({type(error).__name__}: {error}): "
                "install what is missing with 'yolostream install-server --profile onnx-gpu', "
                "update the driver, free the GPU, leave it out with CUDA_VISIBLE_DEVICES, or serve "
                "the profile 'cpu'"
            ) from error

    @contextlib.contextmanager
    def computing(self):
        """Compute on the stream, and wait for it: Triton reads outputs as soon as it is answered.

        Raises:
            MemoryError: The GPU is full.
            TritonModelException: Any other error, for example a lost GPU.
        """
        try:
            with self.stream:
                yield
            self.stream.synchronize()
        except MemoryError as error:
            raise MemoryError(
                f"{self._step} finds no memory on GPU {self._number} ({error}): free the GPU"
            ) from error
        except Exception as error:
            raise pb_utils.TritonModelException(
                f"{self._step} failed on GPU {self._number} ({error}): if it stays so, restart the "
                "server, or serve the profile 'cpu'"
            ) from error

    def array(self, tensor):
        """A tensor as an array in this GPU's memory, wherever it comes from; inside `computing`."""
        if tensor.is_cpu():
            # Triton's pool of GPU memory was full.
            return self._cupy.asarray(tensor.as_numpy())
        # As a capsule: the previous step has finished it, so no stream has to wait for another.
        array = self._cupy.from_dlpack(tensor.to_dlpack())
        if array.data.device_id == self._number:
            return array
        # It is in another GPU's memory, which kernels may not read.
        here = self._cupy.empty_like(array)
        here.data.copy_from_device_async(array.data, array.nbytes)
        return here

    def tensor(self, name, array):
        """An array in this GPU's memory as a tensor; after `computing`, when it is finished."""
        return pb_utils.Tensor.from_dlpack(name, array.__dlpack__(stream=-1))
