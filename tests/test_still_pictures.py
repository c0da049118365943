"""Pictures of phones, browsers and scanners are read completely and upright."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import re
import struct
import types
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import Image, frames_of, gray, noise, opened, write_clip
from heif_files import write_tiled
from PIL import Image as Pillow
from PIL import TiffImagePlugin
from yolostream.errors import SourceError
from yolostream.frame import Frame
from yolostream.outputs.pictures import AnnotatedPictures
from yolostream.sources import Reading
from yolostream.sources.still import read_picture
from yolostream.sources.tiff import pages_of

DURATIONS_MS = [100, 300, 200, 50]
MOVING = pytest.mark.parametrize("suffix", ["gif", "png", "apng", "webp", "avif"])


def the_frames(path: Path) -> list[Image]:
    (source,) = opened(path)
    return [frame.image for frame in frames_of(source)]


def quarters(width: int = 240, height: int = 200) -> Image:
    """A picture with red, green, blue and white quarters, which shows every orientation."""
    image = np.full((height, width, 3), 255, np.uint8)
    image[: height // 2, : width // 2] = (200, 30, 30)
    image[: height // 2, width // 2 :] = (30, 200, 30)
    image[height // 2 :, : width // 2] = (30, 30, 200)
    return image


def assert_like(image: Image, expected: Image) -> None:
    assert image.shape == expected.shape
    # Outputs draw on it.
    assert image.flags.writeable
    assert np.abs(image.astype(int) - expected).mean() < 4


# Only one tile of a picture was read: pixop/video-compare issue 143, block/buzz issue 7666. It was
# read as a video: openmpf/openmpf issue 1130.
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("suffix", ["heic", "avif"])
def test_a_tiled_picture_is_complete_and_upright(
    tmp_path: Path, suffix: str, turns: int, mirrored: bool
) -> None:
    path = write_tiled(tmp_path / f"a.{suffix}", quarters(), turns=turns, mirrored=mirrored)
    (source,) = opened(path)
    assert (source.name, source.is_video) == ("a", False)
    (frame,) = frames_of(source)
    shown = np.rot90(quarters(), turns)
    assert_like(frame.image, shown[:, ::-1] if mirrored else shown)
    assert frame.name == path.name


def test_the_main_picture_of_a_file_is_read_and_the_others_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_tiled(tmp_path / "a.heic", quarters(), are_hidden=False)
    (image,) = the_frames(path)
    assert_like(image, quarters())
    assert caplog.messages == [f"{path} holds 5 pictures: only its main one is read"]


@pytest.mark.parametrize("name", ["a.jpg", "a.HEIC", "a.heif", "a.hif"])
def test_the_format_of_a_picture_is_detected_by_its_content(tmp_path: Path, name: str) -> None:
    # Pictures of phones may be renamed, or sent with a wrong suffix.
    write_tiled(tmp_path / "b.heic", quarters()).rename(tmp_path / name)
    (image,) = the_frames(tmp_path / name)
    assert_like(image, quarters())


def test_a_jpeg_with_the_suffix_heic_is_read(tmp_path: Path) -> None:
    Pillow.fromarray(quarters()).save(tmp_path / "a.heic", "JPEG", quality=95)
    (image,) = the_frames(tmp_path / "a.heic")
    assert_like(image, quarters())


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIC", "PPM"])
@pytest.mark.parametrize("name", ["IMG_0001", "photo.data"])
def test_a_picture_with_an_unknown_suffix_is_read(tmp_path: Path, name: str, format: str) -> None:
    path = tmp_path / name
    if format == "HEIC":
        write_tiled(tmp_path / "a.heic", quarters()).rename(path)
    else:
        Pillow.fromarray(quarters()).save(path, format, quality=95)
    (source,) = opened(path)
    assert not source.is_video
    (frame,) = frames_of(source)
    assert_like(frame.image, quarters())


def test_a_raw_picture_is_read_by_ffmpeg(tmp_path: Path) -> None:
    # It begins like a TIFF with a preview.
    Pillow.fromarray(gray(90)).save(tmp_path / "a.dng", "TIFF")
    (source,) = opened(tmp_path / "a.dng")
    assert source.is_video
    assert len(frames_of(source)) == 1


@pytest.mark.parametrize("suffix", ["dds", "dib", "ico", "jp2", "pcx", "ppm", "qoi", "sgi", "tga"])
def test_a_picture_that_ffmpeg_reads_as_a_video_of_one_frame_is_a_picture(
    tmp_path: Path, suffix: str
) -> None:
    picture = Pillow.fromarray(quarters())
    sizes = {"sizes": [picture.size]} if suffix == "ico" else {}
    picture.save(tmp_path / f"a.{suffix}", **sizes)
    (source,) = opened(tmp_path / f"a.{suffix}")
    assert not source.is_video
    (frame,) = frames_of(source)
    assert_like(frame.image, quarters())


@pytest.mark.parametrize("suffix", ["tga", "ico", "psd", "jpg", "ppm"])
def test_a_file_that_is_no_picture_is_not_read_as_one(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a.{suffix}").write_bytes(b"no picture\n" * 300)
    (source,) = opened(tmp_path / f"a.{suffix}")
    with pytest.raises(SourceError, match=rf"no readable picture: .*a\.{suffix}"):
        frames_of(source)


def test_the_error_of_a_picture_is_reported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = Pillow.fromarray(noise(1))
    for suffix in ("jpg", "png", "gif", "bmp", "webp"):
        whole.save(tmp_path / f"half.{suffix}")
        data = (tmp_path / f"half.{suffix}").read_bytes()
        (tmp_path / f"half.{suffix}").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.png").touch()
    (tmp_path / "page.jpg").write_text("<!doctype html><title>404</title>")
    Pillow.fromarray(np.ones((9, 9), np.float32)).save(tmp_path / "heights.tif")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing.png")
    (tmp_path / "folder.png").mkdir()
    assert why_not(tmp_path / "half.jpg").startswith("image file is truncated")
    assert why_not(tmp_path / "half.png").startswith("image file is truncated")
    assert why_not(tmp_path / "half.bmp").startswith("image file is truncated")
    assert why_not(tmp_path / "half.webp") == "could not create decoder object"
    assert why_not(tmp_path / "empty.png") == "it is empty"
    assert why_not(tmp_path / "page.jpg") == "it is not a picture in a supported format"
    assert why_not(tmp_path / "heights.tif") == "TIFF of mode F is not supported: convert it to PNG"
    assert why_not(tmp_path / "gone.png") == "No such file or directory"
    assert why_not(tmp_path / "folder.png") == "it is a folder"
    # OpenCV must not print a warning of its own.
    assert "OpenCV" not in capfd.readouterr().err


def why_not(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        read_picture(path)
    return str(caught.value)


def test_each_broken_picture_is_named_with_its_reason(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "a.png"), quarters())
    (tmp_path / "b.png").touch()
    (tmp_path / "c.png").write_bytes(b"no picture")
    (source,) = opened(tmp_path)
    with pytest.raises(SourceError, match=r"b\.png \(it is empty\), .*c\.png \(.*; the others"):
        frames_of(source)
    (source,) = opened(tmp_path / "b.png")
    with pytest.raises(SourceError, match=r"no readable picture: .*b\.png \(it is empty\)$"):
        frames_of(source)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "gif", "webp", "avif", "heic", "ico"])
def test_a_pipe_with_the_suffix_of_a_picture_is_not_read(tmp_path: Path, suffix: str) -> None:
    # In a separate process, which can be killed if it waits.
    os.mkfifo(tmp_path / f"b.{suffix}")
    assert cv2.imwrite(str(tmp_path / "a.png"), quarters())
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result = pool.apply_async(_frames_and_error, [tmp_path]).get(timeout=60)
    assert result[0] == 1
    assert re.search(rf"no readable picture: .*b\.{suffix} \(it is a pipe\)", result[1])


def _frames_and_error(folder: Path) -> tuple[int, str]:
    (source,) = opened(folder)
    frames = 0
    try:
        for _ in source.open():
            frames += 1
    except SourceError as error:
        return frames, str(error)
    return frames, ""


def test_a_picture_in_an_unsupported_format_is_named(tmp_path: Path) -> None:
    # Some new cameras write JPEG XL.
    (tmp_path / "a.jxl").write_bytes(b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99))
    with pytest.raises(SourceError, match=r"a\.jxl is a picture .*\(jpegxl\): convert it"):
        opened(tmp_path / "a.jxl")


def test_a_video_with_an_unknown_suffix_is_read(tmp_path: Path) -> None:
    for number, format in enumerate(["mp4", "matroska", "mpegts", "avi", "h264"]):
        write_clip(tmp_path / f"clip{number}", [gray(90)] * 3, format=format)
        (source,) = opened(tmp_path / f"clip{number}")
        assert source.is_video
        assert len(frames_of(source)) == 3


def test_an_animation_with_one_frame_is_a_picture(tmp_path: Path) -> None:
    for suffix in ("gif", "png", "webp"):
        write_moving(tmp_path / f"a.{suffix}", [gray(90)], [100])
        (source,) = opened(tmp_path / f"a.{suffix}")
        assert not source.is_video


def test_a_folder_of_phone_pictures_is_one_source(tmp_path: Path) -> None:
    write_tiled(tmp_path / "IMG_1.HEIC".lower(), quarters())
    write_tiled(tmp_path / "b.avif", quarters())
    assert cv2.imwrite(str(tmp_path / "c.jpg"), quarters())
    (source,) = opened(tmp_path)
    assert [frame.name for frame in frames_of(source)] == ["b.avif", "c.jpg", "img_1.heic"]


@pytest.mark.parametrize("suffix", ["heic", "avif"])
def test_a_truncated_picture_of_a_phone_is_named(tmp_path: Path, suffix: str) -> None:
    path = write_tiled(tmp_path / f"a.{suffix}", noise(1, width=240, height=200))
    path.write_bytes(path.read_bytes()[:900])
    (source,) = opened(path)
    with pytest.raises(SourceError, match=rf"no readable picture: .*a\.{suffix}"):
        frames_of(source)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a.heic", "a.jpg"),
        ("a.HEIF", "a.jpg"),
        ("a.hif", "a.jpg"),
        ("a.jfif", "a.jpg"),
        ("a.gif", "a.png"),
        ("a.avif", "a.avif"),
        ("a.jpe", "a.jpe"),
        ("a.TIFF", "a.TIFF"),
        ("a.pgm", "a.png"),
        ("a.tga", "a.png"),
        ("IMG_0001", "IMG_0001.png"),
        ("photo.data", "photo.png"),
    ],
)
def test_an_annotated_picture_has_a_supported_format(
    tmp_path: Path, name: str, written: str
) -> None:
    output = AnnotatedPictures(tmp_path / "out")
    output.write(_frame(name), quarters(), None)  # the detections are not used
    (path,) = (tmp_path / "out").iterdir()
    assert path.name == written
    (image,) = the_frames(path)
    assert_like(image, quarters())


def _frame(name: str) -> types.SimpleNamespace:
    return types.SimpleNamespace(name=name)


def write_moving(path: Path, images: list[Image], durations_ms: list[int]) -> Path:
    frames = [Pillow.fromarray(image) for image in images]
    format = {"apng": "PNG"}.get(path.suffix[1:], path.suffix[1:].upper())
    frames[0].save(
        path, format, save_all=True, append_images=frames[1:], duration=durations_ms, loop=0
    )
    return path


def levels() -> list[Image]:
    return [gray(40 + 50 * number) for number in range(len(DURATIONS_MS))]


@MOVING
def test_an_animation_is_a_video_with_its_times(tmp_path: Path, suffix: str) -> None:
    (source,) = opened(write_moving(tmp_path / f"a.{suffix}", levels(), DURATIONS_MS))
    assert (source.name, source.is_video) == ("a", True)
    frames = frames_of(source)
    assert [round(float(frame.image.mean()), -1) for frame in frames] == [40, 90, 140, 190]
    assert [round(1000 * frame.pts_seconds) for frame in frames] == [0, 100, 400, 600]
    assert [frame.index for frame in frames] == [0, 1, 2, 3]


@MOVING
def test_a_still_picture_in_an_animation_format_is_a_picture(tmp_path: Path, suffix: str) -> None:
    format = {"apng": "PNG"}.get(suffix, suffix.upper())
    Pillow.fromarray(gray(90)).save(tmp_path / f"a.{suffix}", format)
    (source,) = opened(tmp_path / f"a.{suffix}")
    assert not source.is_video
    (frame,) = frames_of(source)
    assert frame.image.shape == (48, 64, 3)
    assert round(float(frame.image.mean()), -1) == 90


def test_an_animated_webp_with_the_suffix_gif_is_a_video(tmp_path: Path) -> None:
    # The largest website for animations serves such files.
    path = write_moving(tmp_path / "a.webp", levels(), DURATIONS_MS).rename(tmp_path / "a.gif")
    assert len(the_frames(path)) == 4


def test_many_frames_of_an_animation_are_in_order(tmp_path: Path) -> None:
    images = [gray(number) for number in range(100)]
    path = tmp_path / "a.webp"
    frames = [Pillow.fromarray(image) for image in images]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40, lossless=True)
    assert [int(image[0, 0, 0]) for image in the_frames(path)] == list(range(100))


def test_a_transparent_animation_has_the_right_colors(tmp_path: Path) -> None:
    images = [np.dstack([image, np.full((48, 64), 128, np.uint8)]) for image in levels()]
    frames = [Pillow.fromarray(image) for image in images]
    for suffix in ("webp", "png"):
        path = tmp_path / f"a.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, lossless=True)
        assert {image.shape for image in the_frames(path)} == {(48, 64, 3)}


@pytest.mark.parametrize("suffix", ["webp", "avif"])
@pytest.mark.parametrize("kept", [0.05, 0.6])
def test_a_truncated_animation_is_named(tmp_path: Path, suffix: str, kept: float) -> None:
    images = [noise(number, width=64, height=48) for number in range(4)]
    path = write_moving(tmp_path / f"a.{suffix}", images, DURATIONS_MS)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(SourceError, match=rf"a\.{suffix}"):
        the_frames(path)


def test_the_length_of_an_animation_is_known(tmp_path: Path) -> None:
    (source,) = opened(write_moving(tmp_path / "a.webp", levels(), DURATIONS_MS))
    # The source is pickled when it is passed to the process that reads it.
    sent = pickle.loads(pickle.dumps(source))
    with contextlib.closing(sent.open(Reading(stride=2))) as session:
        assert (session.frame_count, session.frame_rate) == (4, 10)
        assert [(f.index, f.pts) for f in session] == [(0, 0), (2, 400)]


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "jpeg"])
def test_every_page_of_a_tiff_is_a_picture(tmp_path: Path, compression: str | None) -> None:
    images = [gray(40 + 50 * number, width=64 + 16 * number) for number in range(3)]
    pages = [Pillow.fromarray(image) for image in images]
    path = tmp_path / "scan.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:], compression=compression)
    assert cv2.imwrite(str(tmp_path / "z.png"), gray(90))
    (source,) = opened(tmp_path)
    frames = frames_of(source)
    assert source.open().frame_count == 4
    assert [frame.name for frame in frames] == ["scan.tif"] * 3 + ["z.png"]
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [frame.image.shape[1] for frame in frames] == [64, 80, 96, 64]
    assert [round(float(frame.image.mean()), -1) for frame in frames] == [40, 90, 140, 90]
    output = AnnotatedPictures(tmp_path / "out")
    for frame in frames:
        output.write(frame, frame.image, None)  # type: ignore[arg-type]  # not used
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["scan.tif", "scan_2.tif", "scan_3.tif", "z.png"]


@pytest.mark.parametrize("kept", [0.95, 0.7, 0.6, 0.4])
def test_truncated_pages_are_reported_as_missing(tmp_path: Path, kept: float) -> None:
    pages = [Pillow.fromarray(noise(number, width=64, height=48)) for number in range(3)]
    path = tmp_path / "a.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    (source,) = opened(path)
    frames: list[Frame] = []
    with pytest.raises(SourceError, match=r"no readable picture: .*a\.tif"):
        frames.extend(source.open())
    assert 1 <= len(frames) <= 2


@pytest.mark.parametrize("big", [False, True])
def test_a_page_that_refers_to_an_earlier_page_is_the_last_one(tmp_path: Path, big: bool) -> None:
    number = "Q" if big else "I"
    head = struct.pack("<HHQ", 43, 8, 16) if big else struct.pack("<HI", 42, 8)
    start = 2 + len(head)
    empty = struct.pack(f"<{'Q' if big else 'H'}{number}", 0, start)
    (tmp_path / "a.tif").write_bytes(b"II" + head + empty)
    assert pages_of(tmp_path / "a.tif") == [0]


@pytest.mark.parametrize("big", [False, True])
def test_pages_are_counted_in_both_kinds_of_tiff(tmp_path: Path, big: bool) -> None:
    pages = [Pillow.fromarray(gray(90)) for _ in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], big_tiff=big)
    assert pages_of(tmp_path / "a.tif") == [0, 1, 2]
    assert len(the_frames(tmp_path / "a.tif")) == 3


def test_reduced_copies_of_a_page_are_no_pages(tmp_path: Path) -> None:
    # Thumbnails of scanners, overviews of maps: drewnoakes/metadata-extractor-dotnet issue 102.
    pages = [Pillow.fromarray(gray(90, width=64 >> number)) for number in range(3)]
    with TiffImagePlugin.AppendingTiffWriter(str(tmp_path / "map.tif"), True) as writer:
        for number, page in enumerate(pages):
            page.save(writer, "TIFF", tiffinfo={254: int(number > 0)})
            writer.newFrame()
    (image,) = the_frames(tmp_path / "map.tif")
    assert image.shape == (48, 64, 3)


@pytest.mark.parametrize("content", [b"", b"II*\0 no picture", b"no picture"])
def test_a_broken_tiff_counts_as_one_picture_and_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    (source,) = opened(tmp_path / "a.tif")
    assert source.open().frame_count == 1
    with pytest.raises(SourceError, match=r"no readable picture: .*a\.tif"):
        frames_of(source)


# Pictures from issues of other projects


def pixel(path: Path) -> list[int]:
    (image,) = the_frames(path)
    return image[image.shape[0] // 2, image.shape[1] // 2].astype(int).tolist()


def test_gray_with_16_bits_keeps_its_levels(tmp_path: Path) -> None:
    # They were black or refused: eXeC64/imv issue 167, colmap/colmap pull request 2924.
    for name in ("a.png", "a.tif"):
        assert cv2.imwrite(str(tmp_path / name), np.full((9, 9), 40000, np.uint16))
        assert pixel(tmp_path / name) == pytest.approx([156] * 3, abs=1)


def test_colors_with_16_bits_keep_their_order(tmp_path: Path) -> None:
    # opencv/opencv pull request 27087.
    color = np.full((9, 9, 3), (10000, 30000, 50000), np.uint16)
    assert cv2.imwrite(str(tmp_path / "a.png"), color[..., ::-1])
    assert pixel(tmp_path / "a.png") == pytest.approx([39, 117, 195], abs=1)


def test_a_picture_with_one_bit_is_black_and_white(tmp_path: Path) -> None:
    # torch/image issue 94.
    for name in ("a.png", "a.tif"):
        Pillow.new("1", (9, 9), 1).save(tmp_path / name)
        assert pixel(tmp_path / name) == [255] * 3


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_is_converted_to_rgb(tmp_path: Path, suffix: str) -> None:
    # vlfeat/matconvnet issue 91.
    Pillow.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / f"a.{suffix}")
    red, green, blue = pixel(tmp_path / f"a.{suffix}")
    assert red > 180 > 100 > max(green, blue)


def test_a_palette_is_converted_to_rgb(tmp_path: Path) -> None:
    picture = Pillow.fromarray(np.full((9, 9, 3), (200, 30, 60), np.uint8)).quantize()
    for suffix in ("png", "gif", "bmp", "tif"):
        picture.save(tmp_path / f"a.{suffix}")
        assert pixel(tmp_path / f"a.{suffix}") == pytest.approx([200, 30, 60], abs=2)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "gif", "tif", "avif"])
def test_a_single_pixel_is_a_picture(tmp_path: Path, suffix: str) -> None:
    Pillow.new("RGB", (1, 1), (200, 200, 200)).save(tmp_path / f"a.{suffix}")
    assert pixel(tmp_path / f"a.{suffix}") == pytest.approx([200] * 3, abs=4)


def test_a_panorama_of_any_width_is_read_and_written(tmp_path: Path) -> None:
    panorama = np.full((20, 40000, 3), 90, np.uint8)
    panorama[:, 39000:] = 200
    assert cv2.imwrite(str(tmp_path / "a.jpg"), panorama)
    (source,) = opened(tmp_path / "a.jpg")
    (frame,) = frames_of(source)
    assert_like(frame.image, panorama)
    AnnotatedPictures(tmp_path / "out").write(frame, frame.image, None)  # type: ignore[arg-type]
    assert (tmp_path / "out" / "a.jpg").exists()


def test_a_picture_with_a_gigantic_declared_size_is_named(tmp_path: Path) -> None:
    # Automattic/photon-opencv issue 8: a small file, whose picture is too large to be decoded.
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(bytes(9)))
    (tmp_path / "a.png").write_bytes(data + _chunk(b"IEND", b""))
    (source,) = opened(tmp_path / "a.png")
    with pytest.raises(SourceError, match=r"no readable picture: .*a\.png"):
        frames_of(source)


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum
