"""Transforms a frame by NvBufSurfTransform in this process, which a crash of the library ends."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from yolostream.doctor.deepstream.letterbox import Rectangle, Size
from yolostream.image import Image

from tests.nvinferserver.surfaces import Plane, Surface

from .structures import (
    Batch,
    ColorFormat,
    Compute,
    ConfigParams,
    CreateParams,
    Error,
    Flag,
    MemoryType,
    Rect,
    SurfaceParams,
    TransformParams,
)

INSTALL = ".venv/bin/pip install --no-deps -r requirements/deepstream.txt"
_GPU = 0
_CUDA = "cu13/lib"
_DEEPSTREAM = "deepstream_videodecode/_libs"
# Loaded in the order of their dependencies: the folder in DeepStream's own references is wrong.
_LIBRARIES = (
    (_CUDA, "libcudart.so.13"),
    (_CUDA, "libnppc.so.13"),
    (_CUDA, "libnppig.so.13"),
    (_CUDA, "libnppidei.so.13"),
    (_DEEPSTREAM, "libnvbuf_fdmap.so"),
    (_DEEPSTREAM, "libnvbufsurface.so"),
    (_DEEPSTREAM, "libnvbufsurftransform.so"),
)
_TO_DEVICE, _TO_HOST = 1, 2
"""cudaMemcpyKind."""


class LibraryError(Exception):
    """A call into CUDA or DeepStream's libraries failed."""


def missing() -> str:
    """The first file that is not installed; empty if all are."""
    return next((name for folder, name in _LIBRARIES if _find(folder, name) is None), "")


@dataclass(frozen=True)
class Request:
    """A transformation, as nvinferserver requests it."""

    surface: Surface
    tensor: Size
    rectangle: Rectangle
    """The position of the picture in the tensor."""
    number: int
    """frame_scaling_filter."""


def transformed(request: Request) -> Image:
    """Run the transformation: uint8 [height, width, 3], RGB, with black around the picture.

    Raises:
        LibraryError: a call failed.
    """
    libraries = _load()
    surface, (width, height) = request.surface, request.tensor
    color_format = ColorFormat.NV12_709 if surface.bt709 else ColorFormat.NV12
    whole = Rectangle(0, 0, *surface.size)
    with (
        libraries.batch(surface.size, color_format) as source,
        libraries.batch(request.tensor, ColorFormat.RGB) as destination,
    ):
        libraries.upload(source, 0, surface.luma)
        libraries.upload(source, 1, surface.chroma.reshape(len(surface.chroma), -1))
        libraries.upload(destination, 0, np.zeros((height, width * 3), np.uint8))
        source.filled = 1
        libraries.transform(source, destination, whole, request.rectangle, request.number)
        return libraries.download(destination, (height, width * 3)).reshape(height, width, 3)


class _Libraries:
    """CUDA's runtime, and DeepStream's surfaces and transform."""

    def __init__(self) -> None:
        paths = [(name, _find(folder, name)) for folder, name in _LIBRARIES]
        for name, path in paths:
            if path is None:
                raise LibraryError(f"{name} is not installed: {INSTALL}")
        self._cuda, *_, self._surfaces, self._transform = (
            ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL) for _, path in paths
        )
        self._cuda.cudaGetErrorString.restype = ctypes.c_char_p

    @contextmanager
    def batch(self, size: Size, color_format: ColorFormat) -> Iterator[Batch]:
        """Allocate GPU memory for one picture, as nvinferserver does."""
        width, height = size
        params = CreateParams(
            gpu=_GPU,
            width=width,
            height=height,
            is_contiguous=True,
            color_format=color_format,
            memory_type=MemoryType.CUDA_DEVICE,
        )
        made = ctypes.POINTER(Batch)()
        if self._surfaces.NvBufSurfaceCreate(ctypes.byref(made), 1, ctypes.byref(params)) != 0:
            raise LibraryError(f"NvBufSurfaceCreate: no {color_format.name} of {width}x{height}")
        try:
            yield made.contents
        finally:
            self._surfaces.NvBufSurfaceDestroy(made)

    def transform(
        self,
        source: Batch,
        destination: Batch,
        from_rectangle: Rectangle,
        to_rectangle: Rectangle,
        number: int,
    ) -> None:
        config = ConfigParams(compute=Compute.GPU, gpu=_GPU)
        params = TransformParams(
            flags=Flag.FILTER | Flag.CROP_SOURCE | Flag.CROP_DESTINATION,
            filter=number,
            source=ctypes.pointer(_rect(from_rectangle)),
            destination=ctypes.pointer(_rect(to_rectangle)),
        )
        _check(
            "NvBufSurfTransformSetSessionParams",
            self._transform.NvBufSurfTransformSetSessionParams(ctypes.byref(config)),
        )
        _check(
            "NvBufSurfTransform",
            self._transform.NvBufSurfTransform(
                ctypes.byref(source), ctypes.byref(destination), ctypes.byref(params)
            ),
        )
        self._synchronize()

    def upload(self, batch: Batch, plane: int, rows: Plane) -> None:
        """Copy uint8 [rows, bytes] into a plane."""
        rows = np.ascontiguousarray(rows)
        height, width = rows.shape
        address, pitch = _place(batch.pictures[0], plane)
        self._copy(address, pitch, rows.ctypes.data, width, width, height, _TO_DEVICE)

    def download(self, batch: Batch, shape: tuple[int, int]) -> Plane:
        """Read the first plane, uint8 [rows, bytes]."""
        rows = np.empty(shape, np.uint8)
        height, width = shape
        address, pitch = _place(batch.pictures[0], 0)
        self._copy(rows.ctypes.data, width, address, pitch, width, height, _TO_HOST)
        return rows

    def _copy(
        self, to: int, to_pitch: int, of: int, of_pitch: int, width: int, height: int, kind: int
    ) -> None:
        arguments = (
            ctypes.c_void_p(to),
            ctypes.c_size_t(to_pitch),
            ctypes.c_void_p(of),
            ctypes.c_size_t(of_pitch),
            ctypes.c_size_t(width),
            ctypes.c_size_t(height),
            ctypes.c_int(kind),
        )
        self._check_cuda("cudaMemcpy2D", self._cuda.cudaMemcpy2D(*arguments))
        self._synchronize()

    def _synchronize(self) -> None:
        self._check_cuda("cudaDeviceSynchronize", self._cuda.cudaDeviceSynchronize())

    def _check_cuda(self, call: str, code: int) -> None:
        if code != 0:
            text = self._cuda.cudaGetErrorString(code).decode()
            raise LibraryError(f"{call} gave {code}: {text}")


_load = cache(_Libraries)


def _find(folder: str, name: str) -> Path | None:
    """Find a file in the packages of the namespace `nvidia`."""
    namespace = importlib.util.find_spec("nvidia")
    for path in (namespace and namespace.submodule_search_locations) or ():
        if (file := Path(path) / folder / name).is_file():
            return file
    return None


def _rect(rectangle: Rectangle) -> Rect:
    return Rect(rectangle.top, rectangle.left, rectangle.width, rectangle.height)


def _place(picture: SurfaceParams, plane: int) -> tuple[int, int]:
    """Address and pitch of a plane, in bytes."""
    return (picture.address or 0) + picture.planes.offset[plane], picture.planes.pitch[plane]


def _check(call: str, code: int) -> None:
    if code != Error.SUCCESS:
        name = Error(code).name if code in tuple(Error) else "unknown"
        raise LibraryError(f"{call} gave {code}, {name}")
