"""Videos with any bit depth, chroma format, range and size have the right colors."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from clips import Image, frames_of, gray, opened, usual_scheduling, write_clip
from yolostream.errors import SourceUnsupported
from yolostream.sources import EVERYTHING, Reading

LEVELS = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (120, 120, 120), (235, 235, 235)]


def patches(*, width: int = 320, height: int = 64) -> Image:
    squares = np.array([LEVELS], np.uint8)
    return cv2.resize(squares, (width, height), interpolation=cv2.INTER_NEAREST)


def assert_shown(image: Image, expected: Image, tolerance: int = 6) -> None:
    assert image.shape == expected.shape
    columns = (np.arange(0.5, len(LEVELS)) * image.shape[1] / len(LEVELS)).astype(int)
    middle = image.shape[0] // 2
    np.testing.assert_allclose(
        image[middle, columns].astype(int), expected[middle, columns].astype(int), atol=tolerance
    )


def write(
    path: Path,
    picture: Image,
    codec: str,
    pix_fmt: str,
    *,
    color_range: ColorRange = ColorRange.MPEG,
    options: dict[str, str] | None = None,
) -> Path:
    with usual_scheduling(), av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options=dict(options or {}))
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt, stream.bit_rate = pix_fmt, 4_000_000
        stream.codec_context.color_range = color_range
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame = frame.reformat(format=pix_fmt, dst_color_range=color_range)
        for number in range(2):
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "tolerance"),
    [
        ("a.mkv", "ffv1", "yuv444p", 6),
        ("a.mkv", "ffv1", "yuv411p", 6),
        ("a.mkv", "ffv1", "yuv444p16le", 6),
        ("a.mkv", "ffv1", "bgr0", 2),
        ("a.mkv", "ffv1", "yuva420p", 6),
        ("a.mov", "prores_ks", "yuv422p10le", 8),
        ("a.mov", "prores_ks", "yuva444p10le", 8),
        ("a.mov", "qtrle", "argb", 2),
        ("a.mov", "png", "rgba", 2),
        ("a.mov", "png", "rgb48be", 2),
        ("a.avi", "rawvideo", "bgr24", 2),
        ("a.avi", "rawvideo", "yuyv422", 6),
        ("a.avi", "huffyuv", "yuv422p", 6),
        ("a.avi", "mjpeg", "yuvj444p", 12),
        ("a.webm", "libvpx-vp9", "yuva420p", 12),
        ("a.mp4", "libx264", "yuv422p10le", 12),
        ("a.mp4", "libx264rgb", "rgb24", 12),
        ("a.mkv", "ffv1", "yuv444p12le", 6),
        ("a.mp4", "libsvtav1", "yuv420p10le", 12),
        ("a.mpg", "mpeg2video", "yuv420p", 12),
    ],
)
def test_every_pixel_format_has_the_right_colors(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, tolerance: int
) -> None:
    (source,) = opened(write(tmp_path / name, patches(), codec, pix_fmt))
    frames = frames_of(source)
    assert len(frames) == 2
    assert_shown(frames[0].image, patches(), tolerance)
    (small, _) = frames_of(source, Reading(fit=(64, 160)))
    assert_shown(small.image, patches(width=160, height=32), tolerance)


# PyAV-Org/PyAV issue 77: gray pixels were returned with 16 bits and wrong values.
@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le", "gray16le"])
def test_gray_is_gray(tmp_path: Path, pix_fmt: str) -> None:
    (source,) = opened(write(tmp_path / "a.mkv", gray(120), "ffv1", pix_fmt))
    np.testing.assert_allclose(frames_of(source)[0].image.astype(int), 120, atol=2)


# PyAV-Org/PyAV issue 1431: full range was treated as limited, so the contrast was too high.
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("color_range", [ColorRange.MPEG, ColorRange.JPEG])
def test_full_and_limited_range_have_the_same_colors(
    tmp_path: Path, pix_fmt: str, color_range: ColorRange
) -> None:
    path = tmp_path / "a.mkv"
    write(path, patches(), "ffv1", pix_fmt, color_range=color_range)
    (source,) = opened(path)
    assert_shown(frames_of(source)[0].image, patches())
    (small, _) = frames_of(source, Reading(fit=(64, 160)))
    assert_shown(small.image, patches(width=160, height=32))


# PyAV wraps memory only for heights that are multiples of four.
@pytest.mark.parametrize("height", [88, 90, 270])
def test_a_picture_of_any_even_height_is_downscaled_with_the_right_colors(
    tmp_path: Path, height: int
) -> None:
    picture = np.vstack([patches(width=640, height=height), gray(120, width=640, height=height)])
    (source,) = opened(write(tmp_path / "a.mp4", picture, "libx264", "yuv420p"))
    (small, _) = frames_of(source, Reading(fit=(height, 320)))
    assert small.image.shape == (height, 320, 3)
    assert_shown(small.image[: height // 2], patches(height=height // 2), 12)
    np.testing.assert_allclose(small.image[-height // 3 :].astype(int), 120, atol=12)


# FFmpeg's scaler does not support YCgCo and ICtCp since version 8.
@pytest.mark.parametrize(("matrix", "name"), [(8, "YCgCo"), (14, "ICtCp")])
@pytest.mark.parametrize("reading", [EVERYTHING, Reading(fit=(64, 160))])
def test_colors_that_cannot_be_converted_are_named(
    tmp_path: Path, matrix: int, name: str, reading: Reading
) -> None:
    options = {"x264-params": f"colormatrix={name}"}
    path = write(tmp_path / "a.mp4", patches(), "libx264", "yuv420p", options=options)
    (source,) = opened(path)
    with pytest.raises(SourceUnsupported, match=f"a.mp4 has colors .*{matrix} of ITU-T H.273"):
        frames_of(source, reading)


# PyAV-Org/PyAV issue 423: a width of 1294 pixels had columns of noise. jcodec/jcodec issue 498:
# 1104 pixels instead of 1098. H.264 stores blocks of 16 pixels and the size of the cropping.
@pytest.mark.parametrize("size", [(1294, 964), (1098, 1952), (1920, 1080), (854, 480), (18, 34)])
def test_the_padding_of_blocks_is_cropped(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    picture = gray(90, width=width, height=height)
    picture[:, -4:] = picture[-4:] = 220
    (source,) = opened(write_clip(tmp_path / "a.mp4", [picture]))
    (frame,) = frames_of(source)
    assert frame.size == (height, width)
    edges = frame.image[:, -2:].reshape(-1, 3), frame.image[-2:].reshape(-1, 3)
    assert all(np.abs(edge.astype(int) - 220).mean() < 10 for edge in edges)
    (small,) = frames_of(source, Reading(fit=(height // 2, width // 2)))
    assert small.image.shape == (height // 2, width // 2, 3)


def test_an_interlaced_video_is_shown_as_it_is_stored(tmp_path: Path) -> None:
    interlaced = {"flags": "+ilme+ildct"}
    path = write(tmp_path / "a.mpg", patches(), "mpeg2video", "yuv420p", options=interlaced)
    (source,) = opened(path)
    assert_shown(frames_of(source)[0].image, patches(), 12)
