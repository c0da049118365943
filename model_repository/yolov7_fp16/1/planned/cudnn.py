"""The part of cuDNN's graph API that convolutions need, called through ctypes.

NVIDIA's Python package for this API holds Python's interpreter lock while it compiles a kernel, and
hundreds are compiled. ctypes releases the lock, so all cores compile. The numbers below are from
`cudnn_graph.h` of cuDNN 9.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Mapping, Sequence
from ctypes import byref, c_char, c_double, c_float, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path
from typing import Any

from .errors import CudnnError

_LIBRARY = "libcudnn.so.9"
_CUDA_LIBRARIES = (
    "libnvrtc-builtins.so.13.0",
    "libnvrtc.so.13",
    "libcublasLt.so.13",
    "libcublas.so.13",
)
"""cuDNN needs these, and the dynamic loader does not search the folder of NVIDIA's wheels."""
_MESSAGE_BYTES = 4096
_TENSOR_ALIGNMENT_BYTES = 16
_MOST_KNOBS = 64

# Kinds of descriptors.
POINTWISE, CONVOLUTION, ENGINE, ENGINE_CONFIG, HEURISTICS, EXECUTION_PLAN = range(6)
KNOB_CHOICE, OPERATION_CONVOLUTION, OPERATION_POINTWISE = 7, 10, 13
OPERATION_GRAPH, VARIANT_PACK, TENSOR = 15, 16, 17

# Data types.
DATA_FLOAT, DATA_HALF = 0, 2

# Modes of elementwise operations.
ADD, RELU, SIGMOID, SWISH = 0, 100, 102, 106

CROSS_CORRELATION = 1
HEURISTIC_MODES = {"A": 3, "B": 1, "fallback": 2}

# Types of attributes: the number, and the type of one value in C.
HANDLE = (0, c_void_p)
DATA_TYPE = (1, c_int)
BOOLEAN = (2, ctypes.c_bool)
INT64 = (3, c_int64)
FLOAT = (4, c_float)
DOUBLE = (5, c_double)
POINTER = (6, c_void_p)
CONVOLUTION_MODE = (7, c_int)
HEURISTIC_MODE = (8, c_int)
KNOB_TYPE = (9, c_int)
POINTWISE_MODE = (14, c_int)
DESCRIPTOR = (15, c_void_p)
CHAR = (24, c_char)

Type = tuple[int, Any]


class Library:
    """cuDNN, loaded into this process.

    Attributes:
        version: 91900 for cuDNN 9.19.0.

    Raises:
        CudnnError: cuDNN 9 cannot be loaded.
    """

    def __init__(self) -> None:
        self._library = _load()
        self._library.cudnnGetVersion.restype = c_size_t
        self.version = int(self._library.cudnnGetVersion())

    def call(self, function: str, *arguments: Any) -> None:
        """Call a function that returns a status.

        Raises:
            CudnnError: The status is not success.
        """
        if status := getattr(self._library, function)(*arguments):
            message = ctypes.create_string_buffer(_MESSAGE_BYTES)
            self._library.cudnnGetLastErrorString(message, c_size_t(_MESSAGE_BYTES))
            words = message.value.decode(errors="replace").strip()
            raise CudnnError(f"cuDNN refuses {function} with status {status} ({words[:500]})")

    def handle(self, stream: int) -> c_void_p:
        """Make a handle for the current device.

        Args:
            stream: Address of the CUDA stream of all work.
        """
        handle = c_void_p()
        self.call("cudnnCreate", byref(handle))
        self.call("cudnnSetStream", handle, c_void_p(stream))
        return handle


def _load() -> ctypes.CDLL:
    """Load cuDNN from NVIDIA's wheels, or else as the dynamic loader finds it."""
    found = importlib.util.find_spec("nvidia")
    folders = [Path(one) for one in (found.submodule_search_locations or ())] if found else []
    try:
        for name in _CUDA_LIBRARIES:
            for path in (folder / "cu13" / "lib" / name for folder in folders):
                if path.exists():
                    ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        for path in (folder / "cudnn" / "lib" / _LIBRARY for folder in folders):
            if path.exists():
                return ctypes.CDLL(str(path))
        return ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise CudnnError(
            f"cuDNN 9 cannot be loaded ({error}): install it with "
            "'yolostream install-server --profile cudnn-gpu'"
        ) from error


class Descriptor:
    """An object of cuDNN, which is destroyed together with this one.

    Args:
        library: cuDNN.
        kind: Number of the kind of descriptor.
    """

    def __init__(self, library: Library, kind: int) -> None:
        self._library, self._pointer = library, c_void_p()
        # cuDNN does not keep the descriptors that this one refers to.
        self._kept: list[Any] = []
        library.call("cudnnBackendCreateDescriptor", c_int(kind), byref(self._pointer))

    def __del__(self) -> None:
        if self._pointer:
            self._library.call("cudnnBackendDestroyDescriptor", self._pointer)

    @property
    def pointer(self) -> c_void_p:
        """The address that cuDNN's functions take."""
        return self._pointer

    def set(self, name: int, kind: Type, *values: Any) -> Descriptor:
        """Set an attribute, and return this descriptor."""
        number, c_type = kind
        self._kept.append(values)
        plain = [one.pointer if isinstance(one, Descriptor) else one for one in values]
        raw = (c_type * len(plain))(*plain)
        arguments = (self._pointer, c_int(name), c_int(number), c_int64(len(plain)), raw)
        self._library.call("cudnnBackendSetAttribute", *arguments)
        return self

    def set_bytes(self, name: int, content: bytes) -> Descriptor:
        """Set an attribute of bytes, and return this descriptor."""
        arguments = (self._pointer, c_int(name), c_int(CHAR[0]), c_int64(len(content)), content)
        self._library.call("cudnnBackendSetAttribute", *arguments)
        return self

    def finalize(self) -> Descriptor:
        """Make the descriptor usable, and return it."""
        self._library.call("cudnnBackendFinalize", self._pointer)
        return self

    def count(self, name: int, kind: Type) -> int:
        """The number of values of an attribute."""
        found = c_int64()
        arguments = (self._pointer, c_int(name), c_int(kind[0]), c_int64(0), byref(found), None)
        self._library.call("cudnnBackendGetAttribute", *arguments)
        return found.value

    def value(self, name: int, kind: Type) -> int:
        """The integer that an attribute has."""
        number, c_type = kind
        raw, found = (c_type * 1)(), c_int64()
        arguments = (self._pointer, c_int(name), c_int(number), c_int64(1), byref(found), raw)
        self._library.call("cudnnBackendGetAttribute", *arguments)
        return int(raw[0])

    def descriptors(self, name: int, kind: int, most: int) -> list[Descriptor]:
        """The descriptors that an attribute has, at most `most` of them."""
        made = [Descriptor(self._library, kind) for _ in range(most)]
        raw, found = (c_void_p * most)(*(one.pointer for one in made)), c_int64()
        arguments = (self._pointer, c_int(name), c_int(DESCRIPTOR[0]), c_int64(most))
        self._library.call("cudnnBackendGetAttribute", *arguments, byref(found), raw)
        return made[: found.value]

    def bytes(self, name: int) -> bytes:
        """The bytes that an attribute has."""
        size = self.count(name, CHAR)
        raw, found = ctypes.create_string_buffer(size), c_int64()
        arguments = (self._pointer, c_int(name), c_int(CHAR[0]), c_int64(size), byref(found), raw)
        self._library.call("cudnnBackendGetAttribute", *arguments)
        return raw.raw[: found.value]


def tensor(
    library: Library,
    uid: int,
    data: int,
    dimensions: Sequence[int],
    strides: Sequence[int],
    *,
    virtual: bool = False,
) -> Descriptor:
    """Describe a tensor.

    Args:
        library: cuDNN.
        uid: The number under which its address is given.
        data: Data type.
        dimensions: Batch, channels, height, width.
        strides: Distances between neighbors of each dimension, in elements.
        virtual: Whether it exists only within a kernel, and not in memory.
    """
    made = Descriptor(library, TENSOR)
    made.set(901, DATA_TYPE, data).set(902, INT64, *dimensions).set(903, INT64, *strides)
    made.set(906, INT64, uid).set(900, INT64, _TENSOR_ALIGNMENT_BYTES)
    if virtual:
        made.set(907, BOOLEAN, True)
    return made.finalize()


def convolution(
    library: Library,
    tensors: tuple[Descriptor, Descriptor, Descriptor],
    *,
    pads: tuple[Sequence[int], Sequence[int]],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> Descriptor:
    """Describe a convolution with float32 sums.

    Args:
        library: cuDNN.
        tensors: Source, filter, target.
        pads: (top, left), (bottom, right).
        strides: Vertical, horizontal.
        dilations: Vertical, horizontal.
    """
    source, weight, target = tensors
    settings = Descriptor(library, CONVOLUTION)
    settings.set(100, DATA_TYPE, DATA_FLOAT).set(101, CONVOLUTION_MODE, CROSS_CORRELATION)
    settings.set(106, INT64, 2).set(102, INT64, *dilations).set(103, INT64, *strides)
    settings.set(105, INT64, *pads[0]).set(104, INT64, *pads[1]).finalize()
    made = Descriptor(library, OPERATION_CONVOLUTION)
    made.set(702, DESCRIPTOR, settings).set(704, DESCRIPTOR, source).set(703, DESCRIPTOR, weight)
    made.set(705, DESCRIPTOR, target).set(700, FLOAT, 1.0).set(701, FLOAT, 0.0)
    return made.finalize()


def pointwise(
    library: Library,
    mode: int,
    source: Descriptor,
    target: Descriptor,
    *,
    other: Descriptor | None = None,
    slope: float | None = None,
) -> Descriptor:
    """Describe an elementwise operation in float32.

    Args:
        library: cuDNN.
        mode: `ADD`, `RELU`, `SIGMOID` or `SWISH`.
        source: First operand.
        target: Result.
        other: Second operand of `ADD`.
        slope: Factor of `RELU` for negative values; None for 0.
    """
    settings = Descriptor(library, POINTWISE).set(0, POINTWISE_MODE, mode)
    settings.set(1, DATA_TYPE, DATA_FLOAT)
    if slope is not None:
        settings.set(5, DOUBLE, slope)
    if mode == SWISH:
        settings.set(8, DOUBLE, 1.0)
    settings.finalize()
    made = Descriptor(library, OPERATION_POINTWISE).set(750, DESCRIPTOR, settings)
    made.set(751, DESCRIPTOR, source).set(753, DESCRIPTOR, target)
    if other is not None:
        made.set(752, DESCRIPTOR, other)
    return made.finalize()


class Context:
    """Makes execution plans for the current device, and launches them.

    Args:
        library: cuDNN.
        stream: Address of the CUDA stream of all work.
    """

    def __init__(self, library: Library, stream: int) -> None:
        self.library = library
        self._handle = library.handle(stream)

    def graph(self, operations: Sequence[Descriptor]) -> Descriptor:
        """Describe operations that one kernel computes together."""
        made = Descriptor(self.library, OPERATION_GRAPH).set(800, HANDLE, self._handle)
        return made.set(801, DESCRIPTOR, *operations).finalize()

    def configurations(self, graph: Descriptor, mode: str) -> list[Descriptor]:
        """Ways to compute a graph; the one that a heuristic expects to be fastest comes first.

        Args:
            graph: Result of `graph`.
            mode: The heuristic, a key of `HEURISTIC_MODES`.

        Raises:
            CudnnError: There is no way.
        """
        made = Descriptor(self.library, HEURISTICS)
        made.set(201, DESCRIPTOR, graph).set(200, HEURISTIC_MODE, HEURISTIC_MODES[mode]).finalize()
        count = made.count(202, DESCRIPTOR)
        return made.descriptors(202, ENGINE_CONFIG, count) if count else []

    def plan(self, configuration: Descriptor) -> Descriptor:
        """Compile a configuration. This takes up to seconds, without Python's interpreter lock.

        Raises:
            CudnnError: The configuration does not work.
        """
        made = Descriptor(self.library, EXECUTION_PLAN).set(400, HANDLE, self._handle)
        return made.set(401, DESCRIPTOR, configuration).finalize()

    def load(self, content: bytes) -> Descriptor:
        """Make a plan from the bytes that `bytes_of` returned, without a compiler.

        Raises:
            CudnnError: The bytes are from another version of cuDNN or another kind of device.
        """
        made = Descriptor(self.library, EXECUTION_PLAN).set_bytes(405, content)
        return made.set(400, HANDLE, self._handle).finalize()

    def execute(self, plan: Descriptor, pack: Descriptor) -> None:
        """Launch a plan on the stream, with the addresses in `pack`."""
        self.library.call("cudnnBackendExecute", self._handle, plan.pointer, pack.pointer)


def bytes_of(plan: Descriptor) -> bytes:
    """A plan with its compiled kernel, for `Context.load`."""
    return plan.bytes(405)


def workspace_of(plan: Descriptor) -> int:
    """Bytes of device memory that a plan needs besides its tensors."""
    return plan.value(402, INT64)


def name_of(configuration: Descriptor) -> str:
    """The name of a configuration: the number of its engine, and the values of its knobs."""
    (engine,) = configuration.descriptors(300, ENGINE, 1)
    knobs = configuration.descriptors(302, KNOB_CHOICE, _MOST_KNOBS)
    values = sorted((one.value(600, KNOB_TYPE), one.value(601, INT64)) for one in knobs)
    return f"engine {engine.value(1301, INT64)}" + "".join(f", {k}={v}" for k, v in values)


def variant_pack(library: Library, addresses: Mapping[int, int], workspace: int) -> Descriptor:
    """The addresses of the tensors by their uids, and the address of the workspace."""
    made = Descriptor(library, VARIANT_PACK)
    made.set(1000, INT64, *addresses).set(1001, POINTER, *addresses.values())
    return made.set(1003, POINTER, workspace).finalize()
