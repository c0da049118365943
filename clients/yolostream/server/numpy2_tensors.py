"""Makes Triton's Python backend work with NumPy 2, by passing tensors through DLPack.

This code is appended to the stub's `triton_python_backend_utils.py`. The stubs of the PyPI
tritonserver were built with a pybind11 that does not support NumPy 2: output arrays have no bytes,
and input arrays have strides of zero. NumPy 1 has no wheels for Python 3.13.
"""

import ctypes

import c_python_backend_utils  # type: ignore[import-not-found]  # inside the stub only
import numpy

_Tensor = c_python_backend_utils.Tensor
# The name that DLPack prescribes for a consumed capsule. It is a global variable, because a capsule
# does not own the memory of its name.
_TAKEN = ctypes.c_char_p(b"used_dltensor")
# A lambda, because only Python functions become methods; `numpy.from_dlpack` is a builtin.
_Tensor.as_numpy = lambda tensor: numpy.from_dlpack(tensor)


class Tensor:
    """Replaces `pb_utils.Tensor`: `Tensor(name, array)` makes an output tensor."""

    from_dlpack = _Tensor.from_dlpack

    def __new__(cls, name, array):  # type: ignore[no-untyped-def]  # Triton's
        """Make a tensor of `array`, a NumPy array of any dtype and shape."""
        capsule = numpy.ascontiguousarray(array).__dlpack__()
        tensor = _Tensor.from_dlpack(name, capsule)
        # The stub gives a consumed capsule a wrong name, about which NumPy would print an error.
        ctypes.pythonapi.PyCapsule_SetName(ctypes.py_object(capsule), _TAKEN)
        return tensor


c_python_backend_utils.Tensor = Tensor
