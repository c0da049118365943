"""Compares the kernel that converts NVDEC's NV12 to RGB, compiled for the CPU, with FFmpeg."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from cuda_on_cpu import COMPILER, needs_compiler
from yolostream.sources import nv12

pytestmark = needs_compiler

_RUN = """
#include "cuda.hpp"
%s
extern "C" void run(const unsigned char* nv12, unsigned char* rgb, const int* sizes,
                    const float* c) {
    const auto [source_height, source_width, height, width, mirrored, turns] =
        *reinterpret_cast<const int(*)[6]>(sizes);
    launch({width, height}, 1, [&] {
        nv12_to_rgb(nv12, rgb, source_height, source_width, height, width, mirrored, turns,
                    c[0], c[1], c[2], c[3], c[4], c[5]);
    });
}
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nv12")
    source, library = folder / "nv12.cpp", folder / "libnv12.so"
    source.write_text(_RUN % nv12._KERNEL)
    include = Path(__file__).parent / "cuda_on_cpu"
    options = ["-std=c++20", "-O2", "-shared", "-fPIC", "-pthread", f"-I{include}"]
    subprocess.run([str(COMPILER), *options, str(source), f"-o{library}"], check=True)
    return ctypes.CDLL(str(library))


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("color_range", [0, 1, 2])
# The tags of streams: BT.709, unspecified, both variants of BT.601, SMPTE 240M, BT.2020.
@pytest.mark.parametrize("colorspace", [1, 2, 5, 6, 7, 9])
def test_colors_are_those_of_ffmpeg(kernel, demo_frame, colorspace, color_range, turns):
    frame = av.VideoFrame.from_ndarray(demo_frame, format="rgb24").reformat(format="yuv420p")
    frame.colorspace, frame.color_range = colorspace, color_range
    expected = np.rot90(frame.reformat(format="rgb24").to_ndarray(), turns)
    rgb = converted(kernel, frame, (frame.height, frame.width), turns)
    difference = np.abs(rgb.astype(int) - expected)
    # FFmpeg computes in 16 bits and truncates at each step.
    assert difference.max() <= 4
    assert difference.mean() < 1


@pytest.mark.parametrize("size", [(60, 107), (90, 160), (180, 320), (200, 400)])
def test_a_scaled_picture_equals_that_of_opencv(kernel, demo_frame, size):
    frame = av.VideoFrame.from_ndarray(demo_frame, format="rgb24").reformat(format="yuv420p")
    whole = converted(kernel, frame, (frame.height, frame.width), turns=0)
    difference = np.abs(converted(kernel, frame, size, turns=0).astype(int) - resized(whole, size))
    assert difference.mean() < 2


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_picture_is_mirrored_and_then_rotated(kernel, demo_frame, turns, mirrored):
    frame = av.VideoFrame.from_ndarray(demo_frame, format="rgb24").reformat(format="yuv420p")
    stored = converted(kernel, frame, (90, 160), turns=0)
    expected = np.rot90(stored[:, ::-1] if mirrored else stored, turns)
    shown = converted(kernel, frame, (90, 160), turns, mirrored=mirrored)
    np.testing.assert_array_equal(shown, expected)


def resized(image, size):
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)


def converted(kernel, frame, size, turns, *, mirrored=False):
    """Convert a frame of FFmpeg with the kernel: scaled to `size`, mirrored, then rotated."""
    height, width = frame.height, frame.width
    planes = frame.to_ndarray()
    u, v = planes[height:].reshape(2, height // 2, width // 2)
    surface = np.concatenate([planes[:height], np.dstack([u, v]).reshape(height // 2, width)])
    rgb = np.empty((*(size[::-1] if turns % 2 else size), 3), np.uint8)
    sizes = np.array([height, width, *size, mirrored, turns], np.int32)
    full_range = int(frame.color_range) == 2
    coefficients = nv12.coefficients(int(frame.colorspace), full_range=full_range)
    kernel.run(*(ctypes.c_void_p(a.ctypes.data) for a in (surface, rgb, sizes, coefficients)))
    return rgb


@pytest.fixture(scope="module")
def demo_frame(demo_frames):
    return np.ascontiguousarray(demo_frames("mb1_1", [120])[0][::2, ::2])
