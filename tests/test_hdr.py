"""Tone mapping: pictures of a high dynamic range (HDR) look like those of a standard range."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc
from clips import Image, frames_of, opened
from heif_files import BT2020, write_tiled
from yolostream.sources import Reading
from yolostream.sources.hdr import ToneMapper, tone_mapped

PQ, HLG = int(ColorTrc.SMPTE2084), int(ColorTrc.ARIB_STD_B67)
HDR = pytest.mark.parametrize("transfer", [PQ, HLG], ids=["PQ", "HLG"])
UNSPECIFIED = 2
"""AVColorSpace's number where a file says nothing."""
WHITE = 203.0
"""Candela per square metre of white paper, ITU-R BT.2408."""
TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
"""Of linear light of BT.709, ITU-R BT.2087."""


def signal_of(light: np.ndarray, transfer: int) -> np.ndarray:
    """The signal of a BT.2020 camera for light in BT.709, where 1 is white (ITU-R BT.2100)."""
    shown = light @ TO_BT2020.T * WHITE
    if transfer == PQ:
        power = (shown / 10000) ** 0.1593017578125
        return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    shown = np.maximum(shown / 1000, 1e-9)
    luminance = (shown @ [0.2627, 0.6780, 0.0593])[..., None]
    scene = shown * luminance ** (1 / 1.2 - 1)
    above = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), above)


def write_hdr(
    path: Path,
    picture: Image,
    transfer: int,
    *,
    brighter: float = 1,
    format: str = "yuv420p10le",
    matrix: int = BT2020,
) -> Path:
    """Write a picture of the standard range (BT.1886) as HDR, with `brighter` times its light.

    `transfer` may also be that of BT.709, for a wide gamut without a high dynamic range.
    """
    signal = picture / 255
    if transfer in (PQ, HLG):
        signal = signal_of(signal**2.4 * brighter, transfer)
    deep = av.VideoFrame.from_ndarray((signal * 65535).round().astype(np.uint16), format="rgb48le")
    frame = deep.reformat(
        format=format,
        dst_colorspace=BT2020,
        dst_color_range=ColorRange.MPEG,
    )
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=10)
        stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], format
        stream.options = {"preset": "ultrafast", "x265-params": "lossless=1:log-level=none"}
        context = stream.codec_context
        context.color_trc, context.color_primaries = transfer, int(ColorPrimaries.BT2020)
        context.colorspace, context.color_range = matrix, ColorRange.MPEG
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            packet.pts = packet.dts = 0
            container.mux(packet)
    return path


def patches(levels: list[tuple[int, int, int]]) -> Image:
    """A picture of adjacent squares."""
    return np.repeat(np.repeat(np.array([levels], np.uint8), 64, axis=0), 64, axis=1)


def levels_in(image: Image) -> list[list[int]]:
    """The color at the center of each square."""
    return image[image.shape[0] // 2, 32::64].astype(int).tolist()


GRAYS = [(level,) * 3 for level in (0, 30, 60, 90, 120, 150)]
COLORS = [(140, 60, 60), (60, 140, 60), (60, 60, 140), (140, 140, 60), (110, 70, 60)]


# Such videos looked pale and gray: LibrePhotos/librephotos issue 455, browser-use/video-use 6.
@HDR
@pytest.mark.parametrize("levels", [GRAYS, COLORS], ids=["grays", "colors"])
def test_colors_up_to_reference_white_are_kept(
    tmp_path: Path, levels: list[tuple[int, int, int]], transfer: int
) -> None:
    (source,) = opened(write_hdr(tmp_path / "clip.mp4", patches(levels), transfer))
    (frame,) = frames_of(source)
    np.testing.assert_allclose(levels_in(frame.image), levels, atol=12)


@HDR
def test_highlights_stay_distinct_and_bright(tmp_path: Path, transfer: int) -> None:
    # Highlights were clipped: iina/iina issue 6005.
    grays = patches([(level,) * 3 for level in (60, 90, 120, 150, 200)])
    path = write_hdr(tmp_path / "clip.mp4", grays, transfer, brighter=3)
    (source,) = opened(path)
    (frame,) = frames_of(source)
    reds = [red for red, _, _ in levels_in(frame.image)]
    assert np.diff(reds).min() >= 3
    assert reds[-1] >= 240


def test_the_hue_does_not_depend_on_the_brightness() -> None:
    light = np.linspace(0.05, 4, 40)[:, None] * np.array([1.0, 0.5, 0.2])
    shown = tone_mapped(signal_of(light, PQ), PQ) ** 2.4
    np.testing.assert_allclose(shown[:, 1] / shown[:, 0], 0.5, atol=0.02)
    assert (np.diff(shown[:, 0]) > 0).all()


@HDR
def test_the_brightest_signal_is_white_and_the_darkest_black(transfer: int) -> None:
    assert tone_mapped(np.ones((1, 3)), transfer).min() > 0.99
    assert tone_mapped(np.zeros((1, 3)), transfer).max() < 0.01


@HDR
def test_an_unspecified_matrix_is_that_of_hdr(tmp_path: Path, transfer: int) -> None:
    shown = []
    for matrix in (BT2020, UNSPECIFIED):
        path = write_hdr(tmp_path / f"{matrix}.mp4", patches(COLORS), transfer, matrix=matrix)
        (source,) = opened(path)
        shown += [frame.image for frame in frames_of(source)]
    np.testing.assert_array_equal(*shown)


@HDR
def test_a_downscaled_picture_is_tone_mapped(tmp_path: Path, transfer: int) -> None:
    (source,) = opened(write_hdr(tmp_path / "clip.mp4", patches(GRAYS), transfer))
    (whole,), (small,) = frames_of(source), frames_of(source, Reading(fit=(32, 192)))
    assert small.image.shape == (32, 192, 3)
    assert small.size == whole.size
    np.testing.assert_allclose(small.image[16, 16::32].astype(int), levels_in(whole.image), atol=3)


@HDR
def test_eight_bit_hdr_is_tone_mapped(tmp_path: Path, transfer: int) -> None:
    # Sony's cameras write HLG in 8 bits: CarterLi/iina issue 8.
    path = write_hdr(tmp_path / "clip.mp4", patches(GRAYS), transfer, format="yuv420p")
    (source,) = opened(path)
    for reading in (Reading(), Reading(fit=(32, 192))):
        (frame,) = frames_of(source, reading)
        columns = np.linspace(0, frame.image.shape[1], 6, endpoint=False) + len(frame.image) // 2
        shown = frame.image[len(frame.image) // 2, columns.astype(int)]
        np.testing.assert_allclose(shown.astype(int)[1:], GRAYS[1:], atol=12)


def test_a_wide_gamut_alone_is_not_tone_mapped(tmp_path: Path) -> None:
    # It was treated as HDR: iina/iina issue 5200.
    path = write_hdr(tmp_path / "clip.mp4", patches(GRAYS), int(ColorTrc.BT709))
    (source,) = opened(path)
    (frame,) = frames_of(source)
    np.testing.assert_allclose(levels_in(frame.image), GRAYS, atol=2)


def test_a_size_that_changes_is_tone_mapped() -> None:
    mapper = ToneMapper(HLG)
    for width, height in ((64, 48), (33, 47), (64, 48)):
        frame = av.VideoFrame.from_ndarray(
            np.full((height, width, 3), 40000, np.uint16), format="rgb48le"
        )
        shown = mapper(frame).to_ndarray()
        assert shown.shape == (height, width, 3)
        assert len(np.unique(shown)) == 1


# Such pictures looked pale, or had steps: woelper/oculante issue 710, ncoevoet/facet issue 154.
@HDR
@pytest.mark.parametrize("turns", [0, 1])
@pytest.mark.parametrize("suffix", ["hif", "avif"])
def test_a_still_picture_is_tone_mapped(
    tmp_path: Path, transfer: int, turns: int, suffix: str
) -> None:
    signal = signal_of((patches(GRAYS) / 255) ** 2.4, transfer)
    deep = (signal * 65535).round().astype(np.uint16)
    (source,) = opened(write_tiled(tmp_path / f"a.{suffix}", deep, transfer=transfer, turns=turns))
    (frame,) = frames_of(source)
    shown = np.rot90(frame.image, -turns)
    np.testing.assert_allclose(levels_in(shown), GRAYS, atol=8)
