"""Runs inside Triton's stub, at the end of its own `triton_python_backend_utils.py`.

The stubs of the PyPI tritonserver were built with a pybind11 from before NumPy 2: there, arrays
of NumPy 2 go out with zero bytes and come in with zero strides. DLPack carries them correctly.
Python 3.13 has no older NumPy, so on it the embedded Triton hands every tensor over by DLPack.
"""

import ctypes

import c_python_backend_utils  # type: ignore[import-not-found]  # inside the stub only
import numpy

_Tensor = c_python_backend_utils.Tensor
# DLPack's own mark; a capsule does not keep its name alive.
_TAKEN = ctypes.c_char_p(b"used_dltensor")
# A function of Python's own becomes a method; NumPy's built-in one would not.
_Tensor.as_numpy = lambda tensor: numpy.from_dlpack(tensor)


class Tensor:
    """What a model makes with `pb_utils.Tensor(name, array)`."""

    from_dlpack = _Tensor.from_dlpack

    def __new__(cls, name, array):  # type: ignore[no-untyped-def]  # Triton's
        """Hand over `array` under `name`."""
        capsule = numpy.ascontiguousarray(array).__dlpack__()
        tensor = _Tensor.from_dlpack(name, capsule)
        # The stub gives a used capsule another name than DLPack says, and NumPy prints an error.
        ctypes.pythonapi.PyCapsule_SetName(ctypes.py_object(capsule), _TAKEN)
        return tensor


c_python_backend_utils.Tensor = Tensor
