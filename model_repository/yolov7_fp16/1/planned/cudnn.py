"""The little of cuDNN's graph API that convolutions need, by ctypes.

NVIDIA's Python package for it keeps Python's lock while a kernel is compiled, and hundreds are.
ctypes lets it go, so they are compiled on all cores. The numbers are those of cuDNN 9's
`cudnn_graph.h`.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Sequence
from ctypes import byref, c_char, c_double, c_float, c_int, c_int32, c_int64, c_size_t, c_void_p
from pathlib import Path
from typing import Any

_LIBRARY = "libcudnn.so.9"
_BEFORE = ("libnvrtc-builtins.so.13.0", "libnvrtc.so.13", "libcublasLt.so.13", "libcublas.so.13")
"""What cuDNN loads by itself where the loader finds it."""
_MESSAGE_BYTES = 4096
_MOST_KNOBS = 64

# Kinds of descriptors.
POINTWISE, CONVOLUTION, ENGINE, ENGINE_CONFIG, HEURISTICS, EXECUTION_PLAN = range(6)
KNOB_CHOICE, KNOB_INFO, OPERATION_CONVOLUTION, OPERATION_POINTWISE = 7, 8, 10, 13
OPERATION_GRAPH, VARIANT_PACK, TENSOR, DEVICE_PROPERTIES = 15, 16, 17, 38

# Types of data.
DATA_FLOAT, DATA_HALF, DATA_FLOAT8 = 0, 2, 12

# Pointwise modes.
ADD, MUL, RELU, SIGMOID, SWISH = 0, 1, 100, 102, 106

CROSS_CORRELATION = 1
HEURISTIC_MODES = {"A": 3, "B": 1, "fallback": 2}

KERNEL_CONFIGURATION = 24
"""The knob that chooses tiles, stages and the like of a kernel that is compiled at run time."""

# Types of attributes, with what one is in C.
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
INT32 = (23, c_int32)
CHAR = (24, c_char)

Type = tuple[int, Any]

_KNOB = ((1202, INT64), (1201, INT64), (1203, INT64))
"""Least and largest value of a knob, and the step between."""


class CudnnError(RuntimeError):
    """cuDNN refuses something; the message is its own."""


class Library:
    """cuDNN, loaded.

    Attributes:
        version: 91900 for 9.19.0.
    """

    def __init__(self) -> None:
        self._library = _load()
        self._library.cudnnGetVersion.restype = c_size_t
        self.version = int(self._library.cudnnGetVersion())

    def call(self, function: str, *arguments: Any) -> None:
        """Call a function that returns a status.

        Raises:
            CudnnError: It is not success.
        """
        if status := getattr(self._library, function)(*arguments):
            message = ctypes.create_string_buffer(_MESSAGE_BYTES)
            self._library.cudnnGetLastErrorString(message, c_size_t(_MESSAGE_BYTES))
            words = message.value.decode(errors="replace").strip()
            raise CudnnError(f"{function}: status {status}: {words[:500]}")

    def handle(self, stream: int) -> c_void_p:
        """A handle on the current device.

        Args:
            stream: Where it computes, a pointer.
        """
        handle = c_void_p()
        self.call("cudnnCreate", byref(handle))
        self.call("cudnnSetStream", handle, c_void_p(stream))
        return handle


def _load() -> ctypes.CDLL:
    found = importlib.util.find_spec("nvidia")
    folders = [Path(one) for one in (found.submodule_search_locations or ())] if found else []
    for name in _BEFORE:
        for path in (folder / "cu13" / "lib" / name for folder in folders):
            if path.exists():
                ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    for path in (folder / "cudnn" / "lib" / _LIBRARY for folder in folders):
        if path.exists():
            return ctypes.CDLL(str(path))
    return ctypes.CDLL(_LIBRARY)


class Descriptor:
    """An object of cuDNN, which goes with this one.

    Args:
        library: Whose.
        kind: Number of its kind.
    """

    def __init__(self, library: Library, kind: int) -> None:
        self._library, self._pointer = library, c_void_p()
        # What it refers to has to stay.
        self._kept: list[Any] = []
        library.call("cudnnBackendCreateDescriptor", c_int(kind), byref(self._pointer))

    def __del__(self) -> None:
        if self._pointer:
            self._library.call("cudnnBackendDestroyDescriptor", self._pointer)

    @property
    def pointer(self) -> c_void_p:
        """As cuDNN takes it."""
        return self._pointer

    def set(self, name: int, kind: Type, *values: Any) -> Descriptor:
        """Set an attribute; returns itself."""
        number, c_type = kind
        self._kept.append(values)
        plain = [one.pointer if isinstance(one, Descriptor) else one for one in values]
        raw = (c_type * len(plain))(*plain)
        arguments = (self._pointer, c_int(name), c_int(number), c_int64(len(plain)), raw)
        self._library.call("cudnnBackendSetAttribute", *arguments)
        return self

    def set_text(self, name: int, text: bytes) -> Descriptor:
        """Set an attribute of characters; returns itself."""
        arguments = (self._pointer, c_int(name), c_int(CHAR[0]), c_int64(len(text)), text)
        self._library.call("cudnnBackendSetAttribute", *arguments)
        return self

    def finalize(self) -> Descriptor:
        """Make it ready; returns itself."""
        self._library.call("cudnnBackendFinalize", self._pointer)
        return self

    def count(self, name: int, kind: Type) -> int:
        """How many values an attribute has."""
        found = c_int64()
        arguments = (self._pointer, c_int(name), c_int(kind[0]), c_int64(0), byref(found), None)
        self._library.call("cudnnBackendGetAttribute", *arguments)
        return found.value

    def values(self, name: int, kind: Type, most: int = 1) -> list[Any]:
        """The values of an attribute, `most` of them at most."""
        number, c_type = kind
        raw, found = (c_type * most)(), c_int64()
        arguments = (self._pointer, c_int(name), c_int(number), c_int64(most), byref(found), raw)
        self._library.call("cudnnBackendGetAttribute", *arguments)
        return list(raw[: min(found.value, most)])

    def descriptors(self, name: int, kind: int, most: int) -> list[Descriptor]:
        """The descriptors that an attribute has, of this kind."""
        made = [Descriptor(self._library, kind) for _ in range(most)]
        raw, found = (c_void_p * most)(*(one.pointer for one in made)), c_int64()
        arguments = (self._pointer, c_int(name), c_int(DESCRIPTOR[0]), c_int64(most))
        self._library.call("cudnnBackendGetAttribute", *arguments, byref(found), raw)
        return made[: found.value]

    def text(self, name: int) -> bytes:
        """An attribute of characters."""
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
    """A tensor's description.

    Args:
        library: Whose.
        uid: By which its address is given.
        data: Type of its values.
        dimensions: Batch, channels, height, width.
        strides: Likewise, in values.
        virtual: It is never in memory.
    """
    made = Descriptor(library, TENSOR)
    made.set(901, DATA_TYPE, data).set(902, INT64, *dimensions).set(903, INT64, *strides)
    made.set(906, INT64, uid).set(900, INT64, 16)
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
    """Convolution in float32 of the first by the second tensor, into the third."""
    source, weight, target = tensors
    how = Descriptor(library, CONVOLUTION)
    how.set(100, DATA_TYPE, DATA_FLOAT).set(101, CONVOLUTION_MODE, CROSS_CORRELATION)
    how.set(106, INT64, 2).set(102, INT64, *dilations).set(103, INT64, *strides)
    how.set(105, INT64, *pads[0]).set(104, INT64, *pads[1]).finalize()
    made = Descriptor(library, OPERATION_CONVOLUTION)
    made.set(702, DESCRIPTOR, how).set(704, DESCRIPTOR, source).set(703, DESCRIPTOR, weight)
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
    """An elementwise operation in float32.

    Args:
        library: Whose.
        mode: Which.
        source: First operand.
        target: Result.
        other: Second operand.
        slope: Of negative values, for `RELU`.
    """
    how = Descriptor(library, POINTWISE).set(0, POINTWISE_MODE, mode)
    how.set(1, DATA_TYPE, DATA_FLOAT)
    if slope is not None:
        how.set(5, DOUBLE, slope)
    if mode == SWISH:
        how.set(8, DOUBLE, 1.0)
    how.finalize()
    made = Descriptor(library, OPERATION_POINTWISE).set(750, DESCRIPTOR, how)
    made.set(751, DESCRIPTOR, source).set(753, DESCRIPTOR, target)
    if other is not None:
        made.set(752, DESCRIPTOR, other)
    return made.finalize()


class Context:
    """Where plans are made: on a device, or for one that is only described.

    Args:
        library: cuDNN.
        handle: Of the device.
        properties: JSON that describes the device, in place of a handle.
    """

    def __init__(
        self, library: Library, *, handle: c_void_p | None = None, properties: bytes = b""
    ) -> None:
        self.library, self.handle = library, handle
        self._properties = None
        if handle is None:
            made = Descriptor(library, DEVICE_PROPERTIES)
            self._properties = made.set_text(2702, properties).finalize()

    def graph(self, operations: Sequence[Descriptor]) -> Descriptor:
        """Operations that are computed together."""
        made = Descriptor(self.library, OPERATION_GRAPH)
        if self.handle is not None:
            made.set(800, HANDLE, self.handle)
        return made.set(801, DESCRIPTOR, *operations).finalize()

    def configurations(self, graph: Descriptor, mode: str) -> list[Descriptor]:
        """Ways to compute a graph, those first that a heuristic takes for the fastest.

        Raises:
            CudnnError: There is none.
        """
        made = Descriptor(self.library, HEURISTICS)
        made.set(201, DESCRIPTOR, graph).set(200, HEURISTIC_MODE, HEURISTIC_MODES[mode])
        if self._properties is not None:
            made.set(204, DESCRIPTOR, self._properties)
        made.finalize()
        count = made.count(202, DESCRIPTOR)
        return made.descriptors(202, ENGINE_CONFIG, count) if count else []

    def all_configurations(self, graph: Descriptor, number: int) -> list[Descriptor]:
        """Every kernel of an engine, also those that no heuristic names.

        Raises:
            CudnnError: The engine does not compute the graph.
        """
        knobs = self._engine(graph, number).descriptors(1302, KNOB_INFO, _MOST_KNOBS)
        ranges = [
            [one.values(name, kind)[0] for name, kind in _KNOB]
            for one in knobs
            if one.values(1200, KNOB_TYPE) == [KERNEL_CONFIGURATION]
        ]
        values = [value for low, high, step in ranges for value in range(low, high + 1, step or 1)]
        return [self._configured(graph, number, value) for value in values]

    def _engine(self, graph: Descriptor, number: int) -> Descriptor:
        made = Descriptor(self.library, ENGINE).set(1300, DESCRIPTOR, graph)
        if self._properties is not None:
            made.set(1307, DESCRIPTOR, self._properties)
        return made.set(1301, INT64, number).finalize()

    def _configured(self, graph: Descriptor, number: int, value: int) -> Descriptor:
        knob = Descriptor(self.library, KNOB_CHOICE).set(600, KNOB_TYPE, KERNEL_CONFIGURATION)
        knob.set(601, INT64, value).finalize()
        made = Descriptor(self.library, ENGINE_CONFIG)
        made.set(300, DESCRIPTOR, self._engine(graph, number))
        return made.set(302, DESCRIPTOR, knob).finalize()

    def plan(self, configuration: Descriptor) -> Descriptor:
        """Compile what is not compiled yet: up to seconds, without Python's lock.

        Raises:
            CudnnError: The configuration does not work.
        """
        return (
            self._device(Descriptor(self.library, EXECUTION_PLAN))
            .set(401, DESCRIPTOR, configuration)
            .finalize()
        )

    def plan_of_text(self, text: bytes) -> Descriptor:
        """A plan that was compiled before, by cuDNN of the same version for the same device.

        Raises:
            CudnnError: It was another version or device.
        """
        made = Descriptor(self.library, EXECUTION_PLAN).set_text(405, text)
        return self._device(made).finalize()

    def _device(self, plan: Descriptor) -> Descriptor:
        if self._properties is not None:
            return plan.set(407, DESCRIPTOR, self._properties)
        return plan.set(400, HANDLE, self.handle)


def text_of(plan: Descriptor) -> bytes:
    """A plan with its kernel, to keep."""
    return plan.text(405)


def workspace_of(plan: Descriptor) -> int:
    """Bytes that it needs beside its tensors."""
    (size,) = plan.values(402, INT64)
    return int(size)


def number_of(configuration: Descriptor) -> int:
    """The number of a configuration's engine."""
    (engine,) = configuration.descriptors(300, ENGINE, 1)
    (number,) = engine.values(1301, INT64)
    return int(number)


def engine_of(configuration: Descriptor) -> str:
    """Name of a configuration: the engine's number, and its knobs'."""
    number = number_of(configuration)
    knobs = configuration.descriptors(302, KNOB_CHOICE, _MOST_KNOBS)
    values = [(one.values(600, KNOB_TYPE)[0], one.values(601, INT64)[0]) for one in knobs]
    return f"engine {number}" + "".join(f", {knob}={value}" for knob, value in sorted(values))


def variant_pack(library: Library, addresses: dict[int, int], workspace: int) -> Descriptor:
    """Addresses of tensors by uid, and of the workspace."""
    made = Descriptor(library, VARIANT_PACK)
    made.set(1000, INT64, *addresses).set(1001, POINTER, *addresses.values())
    return made.set(1003, POINTER, workspace).finalize()


def execute(library: Library, handle: c_void_p, plan: Descriptor, pack: Descriptor) -> None:
    """Launch a plan on the handle's stream."""
    library.call("cudnnBackendExecute", handle, plan.pointer, pack.pointer)
