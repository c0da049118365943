"""Carries out a plan on the CPU, with the same memory as on a GPU.

NumPy computes the convolutions. All other launches are the GPU's kernels, compiled as C++.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess

import numpy as np
import pytest
from repository import ROOT
from version_folder import part

KERNELS = (ROOT / "yolov7_fp16" / "1" / "planned" / "kernels.cu").read_text()
placement, plans = (part("yolov7_fp16", f"planned.{name}") for name in ("placement", "plan"))
ACTIVATIONS = {
    "none": lambda x, slope: x,
    "silu": lambda x, slope: x / (1 + np.exp(-x)),
    "leaky": lambda x, slope: np.where(x > 0, x, x * np.float32(slope)),
    "relu": lambda x, slope: np.maximum(x, 0),
    "sigmoid": lambda x, slope: 1 / (1 + np.exp(-x)),
}


def compiled(source, folder):
    """Compile kernels as C++, and load the library."""
    compiler = shutil.which("g++")
    if compiler is None:
        if os.environ.get("REQUIRE_COMPILER") == "1":
            raise ImportError("REQUIRE_COMPILER=1, but there is no g++ here")
        pytest.skip("needs g++; REQUIRE_COMPILER=1 makes this a failure")
    (folder / "kernels.cpp").write_text(source)
    command = [compiler, "-O2", "-Wall", "-Werror", "-Wno-unknown-pragmas", "-shared", "-fPIC"]
    subprocess.run([*command, "-o", folder / "kernels.so", folder / "kernels.cpp"], check=True)
    return ctypes.CDLL(folder / "kernels.so")


def pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


class Interpreter:
    """Runs a plan for batches of one size."""

    def __init__(self, plan, batch, folder):
        self.plan, self.batch = plan, batch
        places = placement.place(plan)
        # Odd values in all memory that no launch has written yet.
        self.memory = np.full(places.size * batch, 0x5B, np.uint8)
        self.buffers = [
            self._buffer(buffer, offset * batch)
            for buffer, offset in zip(plan.buffers, places.offsets, strict=True)
        ]
        self.last = plan.launches[-1]
        pitches = [plan.buffers[one.buffer].channels for one in self.last.sources]
        self.kernels = compiled(KERNELS + self.last.decoder.source(pitches), folder)

    def _buffer(self, buffer, offset):
        memory = self.memory[offset : offset + buffer.bytes * self.batch].view(np.float16)
        return memory.reshape(self.batch, buffer.height, buffer.width, buffer.channels)

    def at(self, one):
        return self.buffers[one.buffer][..., one.start : one.start + one.channels]

    def run(self, images):
        self.images = np.ascontiguousarray(images, np.float32)
        self.rows = np.full((self.batch, self.last.decoder.rows, 6), np.nan, np.float32)
        for launch in self.plan.launches:
            getattr(self, f"_{type(launch).__name__.lower()}")(launch)
        return self.rows

    def _slice(self, one):
        """The arguments of a kernel for a slice: pointer, and packs from one pixel to the next."""
        array = self.at(one)
        return pointer(array), array.strides[2] // 16

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
        packs = launch.target.channels // plans.ALIGNMENT
        self.kernels.pool(
            *self._slice(launch.source),
            *self._slice(launch.target),
            packs,
            _Window(*sizes),
            packs * target[..., 0].size,
        )

    def _upsample(self, launch):
        source, target = self.at(launch.source), self.at(launch.target)
        packs = launch.target.channels // plans.ALIGNMENT
        self.kernels.upsample(
            *self._slice(launch.source),
            *self._slice(launch.target),
            packs,
            *source.shape[1:3],
            launch.scale,
            packs * target[..., 0].size,
        )

    def _add(self, launch):
        packs = launch.target.channels // plans.ALIGNMENT
        self.kernels.add(
            *self._slice(launch.source),
            *self._slice(launch.other),
            *self._slice(launch.target),
            packs,
            packs * self.at(launch.target)[..., 0].size,
        )

    def _convolution(self, launch):
        sums = convolved(self.at(launch.source), launch.weight, launch)
        values = ACTIVATIONS[launch.activation](sums + launch.bias, launch.slope)
        if launch.added is not None:
            values = values + self.at(launch.added).astype(np.float32)
        self.at(launch.target)[...] = values.astype(np.float16)

    def _decode(self, launch):
        maps = (ctypes.c_void_p * len(launch.sources))(
            *(self.at(one).ctypes.data for one in launch.sources)
        )
        structure = type("Maps", (ctypes.Structure,), {"_fields_": [("first", type(maps))]})
        self.kernels.decode(
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
    """Convolve float16 [batch, H, W, C] with float16 [K, R, S, C]: float32 [batch, H, W, K]."""
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
