"""Carries a plan out on the CPU, launch by launch, in memory that is shared as on a GPU.

Convolutions are NumPy's; everything else is the GPU's own source, compiled as C++.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess

import ml_dtypes
import numpy as np
import pytest
from repository import ROOT
from version_folder import part

FOLDER = ROOT / "yolov7_fp16" / "1" / "planned"
plans, placement, precisions = (
    part("yolov7_fp16", f"planned.{name}") for name in ("plan", "placement", "precision")
)
KINDS = {"half": np.dtype(np.float16), "float8": np.dtype(ml_dtypes.float8_e4m3fn)}
ACTIVATIONS = {
    "none": lambda x, slope: x,
    "silu": lambda x, slope: x / (1 + np.exp(-x)),
    "leaky": lambda x, slope: np.where(x > 0, x, x * np.float32(slope)),
    "relu": lambda x, slope: np.maximum(x, 0),
    "sigmoid": lambda x, slope: 1 / (1 + np.exp(-x)),
}


def compiled(source, folder):
    """A library of C++ made of a kernel's source."""
    compiler = shutil.which("g++")
    if compiler is None:
        if os.environ.get("REQUIRE_COMPILER") == "1":
            raise ImportError("REQUIRE_COMPILER=1, but there is no g++ here")
        pytest.skip("needs g++; REQUIRE_COMPILER=1 makes this a failure")
    (folder / "kernels.cpp").write_text(source)
    command = [compiler, "-O2", "-Wall", "-Werror", "-Wno-unknown-pragmas", "-shared", "-fPIC"]
    subprocess.run([*command, "-o", folder / "kernels.so", folder / "kernels.cpp"], check=True)
    return ctypes.CDLL(folder / "kernels.so")


def text(name):
    return (FOLDER / name).read_text()


def pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


class Interpreter:
    """Runs a plan for batches of one size.

    Attributes:
        peaks: The largest magnitude that each buffer has had.
    """

    def __init__(self, plan, precision, batch, folder):
        self.plan, self.precision, self.batch = plan, precision, batch
        places = placement.place(plan, precision.bytes_per_element())
        # Odd numbers in what nobody has written yet.
        self.memory = np.full(places.size * batch, 0x5B, np.uint8)
        self.buffers = [
            self._buffer(buffer, KINDS[kind], offset * batch)
            for buffer, kind, offset in zip(
                plan.buffers, precision.kinds, places.offsets, strict=True
            )
        ]
        self.peaks = [0.0] * len(plan.buffers)
        self.kernels = compiled(text("half.cuh") + text("kernels.cu"), folder)
        self.decode = plan.launches[-1]
        pitches = [plan.buffers[one.buffer].channels for one in self.decode.sources]
        (folder / "decode").mkdir()
        source = text("half.cuh") + self.decode.decoder.source(pitches) + text("decode.cu")
        self.decoding = compiled(source, folder / "decode")

    def _buffer(self, buffer, kind, offset):
        shape = (self.batch, buffer.height, buffer.width, buffer.channels)
        size = int(np.prod(shape)) * kind.itemsize
        return self.memory[offset : offset + size].view(kind).reshape(shape)

    def at(self, one):
        return self.buffers[one.buffer][..., one.start : one.start + one.channels]

    def run(self, images):
        self.images = np.ascontiguousarray(images, np.float32)
        self.rows = np.full((self.batch, self.decode.decoder.rows, 6), np.nan, np.float32)
        for launch in self.plan.launches:
            getattr(self, f"_{type(launch).__name__.lower()}")(launch)
            if (target := plans.target_of(launch)) is not None:
                peak = float(np.abs(self.at(target).astype(np.float32)).max())
                self.peaks[target.buffer] = max(self.peaks[target.buffer], peak)
        return self.rows

    def _slice(self, one):
        """Pointer, and packs from pixel to pixel."""
        array = self.at(one)
        return pointer(array), array.strides[2] // 16

    def _packs(self, one):
        return one.channels * self.buffers[one.buffer].itemsize // 16

    def _convert(self, launch):
        pixels = self.images[0, 0].size
        self.kernels.convert(
            pointer(self.images),
            *self._slice(launch.target),
            launch.channels,
            pixels,
            pixels * self.batch,
        )

    def _pool(self, launch):
        source, target = self.at(launch.source), self.at(launch.target)
        sizes = (*source.shape[1:3], *target.shape[1:3], launch.kernel, launch.stride, launch.pad)
        packs = self._packs(launch.target)
        pool = getattr(self.kernels, f"pool_{self.precision.kinds[launch.target.buffer]}")
        pool(
            *self._slice(launch.source),
            *self._slice(launch.target),
            packs,
            _Window(*sizes),
            packs * target[..., 0].size,
        )

    def _upsample(self, launch):
        source, target = self.at(launch.source), self.at(launch.target)
        packs = self._packs(launch.target)
        self.kernels.upsample(
            *self._slice(launch.source),
            *self._slice(launch.target),
            packs,
            *source.shape[1:3],
            launch.scale,
            packs * target[..., 0].size,
        )

    def _add(self, launch):
        packs = self._packs(launch.target)
        self.kernels.add(
            *self._slice(launch.source),
            *self._slice(launch.other),
            *self._slice(launch.target),
            packs,
            packs * self.at(launch.target)[..., 0].size,
        )

    def _convolution(self, launch):
        made = precisions.filter_of(launch, self.precision)
        sums = convolved(self.at(launch.source), made.codes, launch)
        if made.factors is not None:
            sums *= made.factors
        values = ACTIVATIONS[launch.activation](sums + launch.bias, launch.slope)
        if launch.added is not None:
            values = values + self.at(launch.added).astype(np.float32)
        target = self.at(launch.target)
        values = values / np.float32(made.quotient)
        if target.dtype != np.float16:
            values = np.clip(values, -precisions.LARGEST, precisions.LARGEST)
        target[...] = values.astype(target.dtype)

    def _decode(self, launch):
        maps = (ctypes.c_void_p * len(launch.sources))(
            *(self.at(one).ctypes.data for one in launch.sources)
        )
        structure = type("Maps", (ctypes.Structure,), {"_fields_": [("first", type(maps))]})
        self.decoding.decode(
            structure(maps),
            pointer(launch.decoder.constants),
            pointer(self.rows),
            self.batch * launch.decoder.rows,
        )


class _Window(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int)
        for name in ("height", "width", "out_height", "out_width", "kernel", "stride", "pad")
    ]


def convolved(maps, filters, launch):
    """float32 sums [batch, height, width, K], a product for each element of the filter."""
    top, left, bottom, right = launch.pads
    padded = np.pad(maps.astype(np.float32), ((0, 0), (top, bottom), (left, right), (0, 0)))
    outputs, rows, columns, _ = filters.shape
    (down, across), (tall, wide) = launch.strides, launch.dilations
    height = (padded.shape[1] - tall * (rows - 1) - 1) // down + 1
    width = (padded.shape[2] - wide * (columns - 1) - 1) // across + 1
    sums = np.zeros((len(maps), height, width, outputs), np.float32)
    for r in range(rows):
        for s in range(columns):
            y, x = r * tall, s * wide
            seen = padded[
                :, y : y + down * (height - 1) + 1 : down, x : x + across * (width - 1) + 1 : across
            ]
            sums += seen @ filters[:, r, s].astype(np.float32).T
    return sums
