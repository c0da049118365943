"""Fakes of CuPy and PyNvVideoCodec, with a GPU in host memory, for what the client uses of them.

Code that runs on a GPU is tested on one (`test_gpu_transport.py`). With these fakes, the client's
own decisions and calls are tested on any machine.
"""

from __future__ import annotations

import contextlib
import ctypes
import heapq
import types
from functools import partial
from typing import Any, ClassVar

import av
import cv2
import numpy as np


class CUDARuntimeError(RuntimeError):
    """CuPy's class of that name."""


class Gpu:
    """The GPUs of one process: `devices` GPUs with `free_bytes` of memory each."""

    def __init__(self, *, devices: int = 1, free_bytes: int = 1 << 30) -> None:
        self.devices = devices
        self.free_bytes = free_bytes
        self.current = 0
        self.allocated: dict[int, ctypes.Array[ctypes.c_char]] = {}
        self.copies: list[int] = []
        """The direction of each copy, as CUDA's number."""

    def malloc(self, size: int) -> int:
        if size > self.free_bytes:
            raise CUDARuntimeError("cudaErrorMemoryAllocation: out of memory")
        memory = ctypes.create_string_buffer(size)
        self.allocated[ctypes.addressof(memory)] = memory
        return ctypes.addressof(memory)

    def free(self, address: int) -> None:
        del self.allocated[address]

    def copy(self, target: int, source: int, size: int, direction: int, stream: int) -> None:
        self.copies.append(direction)
        ctypes.memmove(target, source, size)

    def count(self) -> int:
        if not self.devices:
            raise CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
        return self.devices


class DeviceArray:
    """A fake of CuPy's ndarray, which wraps one of NumPy."""

    owners: ClassVar[dict[int, int]] = {}
    """Address -> number of its GPU."""

    def __init__(self, array: np.ndarray[Any, Any], device: int = 0) -> None:
        self.array = array
        self.owners[array.ctypes.data] = device
        self.shape, self.dtype, self.nbytes = array.shape, array.dtype, array.nbytes
        self.device = types.SimpleNamespace(id=device)
        self.data = types.SimpleNamespace(ptr=array.ctypes.data)

    def reshape(self, *shape: int) -> DeviceArray:
        return DeviceArray(self.array.reshape(*shape), self.device.id)

    def __getitem__(self, index: Any) -> DeviceArray:
        return DeviceArray(self.array[index], self.device.id)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.data.ptr, False),
            "stream": 1,
            "version": 3,
        }


def stand_in_cupy(gpu: Gpu) -> types.ModuleType:
    """A fake of the module `cupy` for these GPUs."""
    content = {
        "cuda": types.SimpleNamespace(
            Device=_device(gpu),
            Stream=_Stream,
            get_current_stream=_Stream,
            runtime=_runtime(gpu),
            alloc_pinned_memory=bytearray,
        ),
        "asarray": partial(_on_current, gpu),
        "asnumpy": lambda array: array.array,
        "ascontiguousarray": _without_gaps,
        "uint8": np.uint8,
        "empty": lambda shape, dtype: DeviceArray(np.empty(shape, dtype)),
        "RawKernel": lambda source, name: _Kernel(),
    }
    module = types.ModuleType("cupy")
    vars(module).update(content)
    return module


def _device(gpu: Gpu) -> type:
    class Device:
        def __init__(self, number: int | None = None) -> None:
            self.id = gpu.current if number is None else number

        def __enter__(self) -> Device:
            self._before, gpu.current = gpu.current, self.id
            return self

        def __exit__(self, *_: object) -> None:
            gpu.current = self._before

        def use(self) -> None:
            gpu.current = self.id

    return Device


class _Stream(contextlib.nullcontext):  # type: ignore[type-arg]
    ptr = 7

    def __init__(self, *, non_blocking: bool = False) -> None:
        super().__init__()

    def synchronize(self) -> None:
        pass


def _runtime(gpu: Gpu) -> types.SimpleNamespace:
    limits: dict[int, int] = {}
    return types.SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError,
        malloc=gpu.malloc,
        free=gpu.free,
        memcpyAsync=gpu.copy,
        memcpyHostToDevice=1,
        memcpyDefault=4,
        ipcGetMemHandle=lambda address: address.to_bytes(64, "little"),
        getDeviceCount=gpu.count,
        pointerGetAttributes=lambda address: types.SimpleNamespace(
            device=DeviceArray.owners[address]
        ),
        limits=limits,
        deviceSetLimit=limits.__setitem__,
        cudaLimitStackSize=0,
        streamSynchronize=lambda stream: None,
    )


def _without_gaps(array: DeviceArray) -> DeviceArray:
    """Like `cupy.ascontiguousarray`: the array itself if it is contiguous."""
    if array.array.flags.c_contiguous:
        return array
    return DeviceArray(np.ascontiguousarray(array.array), array.device.id)


def _on_current(gpu: Gpu, array: DeviceArray) -> DeviceArray:
    """Like `cupy.asarray`: an array of another GPU is copied to the current one."""
    if array.device.id == gpu.current:
        return array
    if not array.array.flags.c_contiguous:
        raise NotImplementedError("CuPy cannot copy non-contiguous array between devices.")
    return DeviceArray(array.array.copy(), gpu.current)


class _Kernel:
    def compile(self) -> None: ...

    def __call__(self, grid: object, block: object, arguments: tuple[Any, ...]) -> None:
        _nv12_to_rgb(grid, block, arguments)


def _nv12_to_rgb(grid: object, block: object, arguments: tuple[Any, ...]) -> None:
    address, rgb, height, width, *target, mirrored, turns = arguments[:8]
    black, luma, red_v, green_u, green_v, blue_u = arguments[8:]
    size = int(height) * 3 // 2 * int(width)
    planes = np.frombuffer(ctypes.string_at(int(address), size), np.uint8).reshape(-1, width)
    light = luma * (planes[:height] - black)
    chroma = planes[height:].reshape(height // 2, width // 2, 2).astype(np.float32) - 128
    u, v = np.moveaxis(chroma.repeat(2, axis=0).repeat(2, axis=1), -1, 0)
    colors = [light + red_v * v, light + green_u * u + green_v * v, light + blue_u * u]
    whole = np.clip(np.stack(colors, axis=-1), 0, 255).astype(np.uint8)
    scaled = cv2.resize(whole, tuple(map(int, target[::-1])))
    rgb.array[:] = np.rot90(scaled[:, ::-1] if mirrored else scaled, turns)


class _Surface:
    def __init__(self, frame: av.VideoFrame, pts: int) -> None:
        self.array = np.ascontiguousarray(frame.reformat(format="nv12").to_ndarray())
        self.shape = self.array.shape
        self._pts = pts

    def getPTS(self) -> int:  # noqa: N802  # NVIDIA's names
        return self._pts

    def GetPtrToPlane(self, number: int) -> int:  # noqa: N802
        return self.array.ctypes.data


class _Decoder:
    """A fake of NVDEC by FFmpeg's decoders; it takes bitstreams without a container's headers."""

    def __init__(self, *, codec: str, usedevicememory: bool, **_: object) -> None:
        self._context = av.CodecContext.create(codec, "r")
        self._surfaces: list[_Surface] = []
        self._times: list[int] = []

    def Decode(self, piece: Any) -> list[_Surface]:  # noqa: N802
        for surface in self._surfaces:
            # NVDEC reuses surfaces: pictures that were not copied until now are lost.
            surface.array[:] = 0
        packet = av.Packet(ctypes.string_at(piece.bsl_data, piece.bsl)) if piece.bsl else None
        if packet is not None:
            heapq.heappush(self._times, piece.pts)
        # As in NVDEC, the next picture to show gets the earliest timestamp of any packet.
        self._surfaces = [
            _Surface(frame, heapq.heappop(self._times)) for frame in self._context.decode(packet)
        ]
        return self._surfaces


def stand_in_nvc() -> types.ModuleType:
    module = types.ModuleType("PyNvVideoCodec")
    module.PacketData = types.SimpleNamespace  # type: ignore[attr-defined]
    module.cudaVideoCodec = types.SimpleNamespace(H264="h264", HEVC="hevc")  # type: ignore[attr-defined]
    module.CreateDecoder = _Decoder  # type: ignore[attr-defined]
    return module
