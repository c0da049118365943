"""The parts of the C interface of libnvbufsurface.so and libnvbufsurftransform.so that are used.

They follow the published headers of DeepStream 9.1, nvbufsurface.h and nvbufsurftransform.h.
`tests/test_nvbufsurftransform.py` compares the sizes with those in the libraries of 9.0.2.
"""

from __future__ import annotations

from ctypes import POINTER, Structure, c_bool, c_int32, c_uint32, c_uint64, c_void_p
from enum import IntEnum, IntFlag

_PLANES = 4
_RESERVED = c_void_p * 4


class ColorFormat(IntEnum):
    """NvBufSurfaceColorFormat; NV12 is of BT.601."""

    NV12 = 6
    RGB = 27
    NV12_709 = 33


class MemoryType(IntEnum):
    """NvBufSurfaceMemType."""

    CUDA_DEVICE = 2


class Compute(IntEnum):
    """NvBufSurfTransform_Compute."""

    GPU = 1


class Error(IntEnum):
    """NvBufSurfTransform_Error."""

    ROI_ERROR = -4
    INVALID_PARAMS = -3
    EXECUTION_ERROR = -2
    UNSUPPORTED = -1
    SUCCESS = 0


class Flag(IntFlag):
    """NvBufSurfTransform_Transform_Flag."""

    CROP_SOURCE = 1
    CROP_DESTINATION = 2
    FILTER = 4


class CreateParams(Structure):
    """NvBufSurfaceCreateParams; layout 0 is pitch-linear."""

    _fields_ = (
        ("gpu", c_uint32),
        ("width", c_uint32),
        ("height", c_uint32),
        ("size", c_uint32),
        ("is_contiguous", c_bool),
        ("color_format", c_int32),
        ("layout", c_int32),
        ("memory_type", c_int32),
        ("reserved", _RESERVED),
    )


class PlaneParams(Structure):
    """NvBufSurfacePlaneParams; pitch and offset in bytes."""

    _fields_ = (
        ("count", c_uint32),
        ("width", c_uint32 * _PLANES),
        ("height", c_uint32 * _PLANES),
        ("pitch", c_uint32 * _PLANES),
        ("offset", c_uint32 * _PLANES),
        ("size", c_uint32 * _PLANES),
        ("bytes_per_pixel", c_uint32 * _PLANES),
        ("reserved", _RESERVED * _PLANES),
    )


class MappedAddress(Structure):
    """NvBufSurfaceMappedAddr."""

    _fields_ = (
        ("planes", c_void_p * _PLANES),
        ("egl_image", c_void_p),
        ("nvmm", c_void_p),
        ("cuda", c_void_p),
        ("reserved", _RESERVED),
    )


class SurfaceParams(Structure):
    """NvBufSurfaceParams: one picture of a batch."""

    _fields_ = (
        ("width", c_uint32),
        ("height", c_uint32),
        ("pitch", c_uint32),
        ("color_format", c_int32),
        ("layout", c_int32),
        ("descriptor", c_uint64),
        ("size", c_uint32),
        ("address", c_void_p),
        ("planes", PlaneParams),
        ("mapped", MappedAddress),
        ("extended", c_void_p),
        ("cuda_buffer", c_void_p),
        ("reserved", _RESERVED),
    )


class Batch(Structure):
    """NvBufSurface."""

    _fields_ = (
        ("gpu", c_uint32),
        ("size", c_uint32),
        ("filled", c_uint32),
        ("is_contiguous", c_bool),
        ("memory_type", c_int32),
        ("pictures", POINTER(SurfaceParams)),
        ("is_imported", c_bool),
        ("reserved", _RESERVED),
    )


class Rect(Structure):
    """NvBufSurfTransformRect."""

    _fields_ = (
        ("top", c_uint32),
        ("left", c_uint32),
        ("width", c_uint32),
        ("height", c_uint32),
        ("reserved", _RESERVED),
    )


class ConfigParams(Structure):
    """NvBufSurfTransformConfigParams."""

    _fields_ = (
        ("compute", c_int32),
        ("gpu", c_int32),
        ("stream", c_void_p),
        ("reserved", _RESERVED),
    )


class TransformParams(Structure):
    """NvBufSurfTransformParams."""

    _fields_ = (
        ("flags", c_uint32),
        ("flip", c_int32),
        ("filter", c_int32),
        ("source", POINTER(Rect)),
        ("destination", POINTER(Rect)),
        ("reserved", _RESERVED),
    )
