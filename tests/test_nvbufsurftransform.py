"""The emulation of DeepStream's scaler: the sample positions and colors of each filter."""

from __future__ import annotations

import ctypes

import av
import numpy as np
import pytest
from yolostream.doctor.deepstream.letterbox import Rectangle

from tests.nvbufsurftransform.differences import Difference
from tests.nvbufsurftransform.recorded import FILE, parts
from tests.nvbufsurftransform.structures import Batch, Rect, SurfaceParams
from tests.nvinferserver.errors import PipelineFailed
from tests.nvinferserver.scaling import (
    BILINEAR,
    CUBIC,
    LANCZOS,
    NEAREST,
    NPP_NEAREST,
    SUPER,
    colors,
    scaled,
)
from tests.nvinferserver.surfaces import Surface, as_video

NEUTRAL = 128


def gray(luma):
    """A surface without color."""
    height, width = luma.shape
    chroma = np.full((height // 2, width // 2, 2), NEUTRAL, np.uint8)
    return Surface(luma.astype(np.uint8), chroma, bt709=True)


def levels(luma):
    """RGB levels of limited-range luma."""
    return ((luma.astype(np.float64) - 16) * 255 / 219 + 1e-6).clip(0, 255).astype(np.uint8)


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(16, 236, (48, 64))


@pytest.mark.parametrize("times", [1, 2])
def test_bilinear_mixes_the_pixels_before_and_at_the_scaled_position(noise, times):
    at, before = np.arange(0, 48, times), np.arange(0, 48, times) - 1
    rows = noise[at] + noise[before.clip(0)]
    at, before = np.arange(0, 64, times), np.arange(0, 64, times) - 1
    mixed = (rows[:, at] + rows[:, before.clip(0)]) // 4
    made = scaled(gray(noise), Rectangle(0, 0, 64 // times, 48 // times), BILINEAR)
    assert np.array_equal(made[..., 1], levels(mixed))


@pytest.mark.parametrize(("number", "taken"), [(NEAREST, 0), (NPP_NEAREST, 1)])
def test_nearest_takes_one_pixel(noise, number, taken):
    made = scaled(gray(noise), Rectangle(0, 0, 32, 24), number)
    assert np.array_equal(made[..., 1], levels(noise[taken::2, taken::2]))


def test_super_takes_the_mean_of_the_covered_area(noise):
    mean = noise.reshape(24, 2, 32, 2).mean(axis=(1, 3))
    made = scaled(gray(noise), Rectangle(0, 0, 32, 24), SUPER)
    assert np.array_equal(made[..., 1], levels(np.floor(mean + 0.5)))


@pytest.mark.parametrize("number", [NEAREST, CUBIC, LANCZOS, NPP_NEAREST])
def test_a_frame_of_the_same_size_is_unchanged(noise, number):
    surface = Surface.of(as_video(np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)))
    assert np.array_equal(scaled(surface, Rectangle(0, 0, 64, 48), number), colors(surface))
    assert np.array_equal(
        scaled(gray(noise), Rectangle(0, 0, 64, 48), number)[..., 0], levels(noise)
    )


def test_super_ends_deepstream_without_downscaling(noise):
    for size in ((64, 48), (80, 60), (32, 48)):
        with pytest.raises(PipelineFailed, match="NPP_RESIZE_FACTOR_ERROR"):
            scaled(gray(noise), Rectangle(0, 0, *size), SUPER)


def test_an_unknown_filter_number_is_an_error(noise):
    with pytest.raises(NotImplementedError, match="7"):
        scaled(gray(noise), Rectangle(0, 0, 32, 24), 7)


# Filter, source pixels per result pixel, distance of the sample position from the center.
SAMPLE_POSITIONS = [
    (NEAREST, 1, 0),
    (NEAREST, 2, -0.5),
    (BILINEAR, 1, -0.5),
    (BILINEAR, 2, -1.0),
    (BILINEAR, 3, -1.5),
    (CUBIC, 2, 0),
    (CUBIC, 3, 0),
    (SUPER, 2, 0),
    (SUPER, 3, 0),
    (LANCZOS, 2, 0),
]


@pytest.mark.parametrize(("number", "times", "off"), SAMPLE_POSITIONS)
@pytest.mark.parametrize("axis", [0, 1])
def test_the_sample_position_of_a_filter_on_a_gradient(number, times, off, axis):
    steepness, length = 3, 72
    slope = np.broadcast_to(16 + steepness * np.arange(length), (24, length))
    surface = gray(slope.T if axis == 0 else slope)
    # Not at the edge of the tensor, which filter 3 may leave out.
    place = Rectangle(2, 2, *(side // times for side in surface.size))
    made = scaled(surface, place, number).mean(axis=(1 - axis, 2)) * 219 / 255
    middles = (np.arange(length // times) + 0.5) * times - 0.5
    # Rounding and truncation to whole levels cause errors of up to a sixth of a pixel.
    seen = ((made + 0.4) / steepness - middles)[4:-4].mean()
    assert seen == pytest.approx(off, abs=0.24)


@pytest.mark.parametrize("number", range(6))
def test_a_picture_of_one_color_keeps_its_color(number):
    surface = Surface.of(as_video(np.full((48, 64, 3), 200, np.uint8)))
    assert (scaled(surface, Rectangle(0, 0, 36, 30), number) == 200).all()


@pytest.mark.parametrize("number", [CUBIC, LANCZOS, NPP_NEAREST])
def test_two_columns_have_no_color_if_the_width_is_no_multiple_of_four(number):
    surface = gray(np.full((48, 66), 126))
    made = scaled(surface, Rectangle(0, 0, 66, 48), number)
    assert (made[:, :64] == 128).all()
    assert (made[:, 64:, ::2] == 0).all()


@pytest.mark.parametrize(("start", "green"), [(0, 1), (2, 0)])
def test_super_leaves_out_the_edge_of_the_tensor_for_scales_above_two(start, green):
    made = scaled(gray(np.full((48, 96), 126)), Rectangle(start, start, 32, 16), SUPER)
    # Two rows and four columns have no color. The first row and column are not written.
    assert (made[2 * green :, 4 * green :] == 128).all()
    assert (made[: 2 * green, :, ::2] == 0).all()
    assert (made[:, : 4 * green, ::2] == 0).all()


@pytest.mark.parametrize("number", range(6))
def test_the_emulation_agrees_with_the_recorded_library(number):
    # Recorded on an H100, with version 9.0.2 of the package and NPP 13.2.0.93.
    recorded = np.load(FILE)
    of_filter = [part for part in parts() if part.number == number]
    assert {str(part) for part in of_filter} == {
        name for name in recorded.files if name.startswith(f"{number}/")
    }
    real, replayed = (
        np.concatenate([image.reshape(-1, 3) for image in images])
        for images in (
            [recorded[str(part)] for part in of_filter],
            [part.replayed()[part.kept] for part in of_filter],
        )
    )
    off = Difference.of(real, replayed)
    assert off.is_rounding(number), off


def test_four_pixels_of_the_result_share_a_color():
    luma, chroma = np.full((8, 16), 126, np.uint8), np.full((4, 8, 2), NEUTRAL, np.uint8)
    chroma[:, ::2, 1] = 200
    made = scaled(Surface(luma, chroma, bt709=True), Rectangle(0, 0, 8, 4), NEAREST).astype(int)
    assert np.array_equal(made[::2, ::2], made[1::2, 1::2])
    # Every other chroma sample is taken, and these are all red.
    assert (made[..., 0] > made[..., 1] + 100).all()


@pytest.mark.parametrize(("bt709", "red"), [(True, (63, 102, 240)), (False, (81, 90, 240))])
def test_colors_are_converted_by_the_matrix_of_the_stream(bt709, red):
    luma = np.full((2, 2), red[0], np.uint8)
    surface = Surface(luma, np.array([[red[1:]]], np.uint8), bt709=bt709)
    assert np.abs(colors(surface).astype(int) - (255, 0, 0)).max() <= 2
    wrong = Surface(luma, surface.chroma, bt709=not bt709)
    assert np.abs(colors(wrong).astype(int) - (255, 0, 0)).max() > 10


def test_planes_are_those_of_the_decoded_frame(tmp_path):
    frame = av.VideoFrame(66, 50, "yuv420p")
    rng = np.random.default_rng(2)
    for plane in frame.planes:
        plane.update(rng.integers(0, 256, plane.buffer_size, np.uint8).tobytes())
    surface, whole = Surface.of(frame), frame.to_ndarray(format="yuv420p")
    assert np.array_equal(surface.luma, whole[:50])
    planes = whole[50:].reshape(2, 25, 33)
    assert np.array_equal(surface.chroma, np.moveaxis(planes, 0, -1))
    assert not surface.bt709


def test_an_odd_side_loses_its_last_pixel():
    frame = av.VideoFrame.from_ndarray(np.full((49, 65, 3), 9, np.uint8), format="rgb24")
    surface = Surface.of(frame)
    assert surface.size == (64, 48)
    assert surface.chroma.shape == (24, 32, 2)


@pytest.mark.parametrize(
    ("structure", "size", "offsets"),
    [
        (Rect, 0x30, {"width": 8}),
        (SurfaceParams, 0x1A0, {"color_format": 0xC, "address": 0x28, "planes": 0x30}),
        (Batch, 0x48, {"filled": 8, "memory_type": 0x10, "pictures": 0x18}),
    ],
)
def test_structures_are_those_that_the_library_was_compiled_with(structure, size, offsets):
    # Sizes and offsets come from the machine code: its array strides and load addresses.
    assert ctypes.sizeof(structure) == size
    assert {name: getattr(structure, name).offset for name in offsets} == offsets
