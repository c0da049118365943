"""Pictures are shown upright, not mirrored and in their proportions, however they are stored."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from clips import MATRICES, Image, frames_of, gray, opened, turned, write_clip
from PIL import Image as Pillow
from yolostream.sources import Reading, Video
from yolostream.sources.orientation import Orientation, orientation_in, with_square_pixels


def corners_of(image: Image) -> list[list[int]]:
    """The gray level of each quarter of the picture, in tens."""
    halves = np.array_split(image, 2, axis=0)
    return [
        [round(float(part.mean()) / 10) for part in np.array_split(half, 2, axis=1)]
        for half in halves
    ]


def marked(*, width: int = 64, height: int = 48) -> Image:
    """A picture with a different level in each quarter: 5 and 10 above, 15 and 20 below."""
    image = gray(50, width=width, height=height)
    image[: height // 2, width // 2 :] = 100
    image[height // 2 :, : width // 2] = 150
    image[height // 2 :, width // 2 :] = 200
    return image


def moved(matrix: tuple[int, int, int, int]) -> list[list[int]]:
    """The quarters of `marked` after a display matrix (ISO/IEC 14496-12, 8.3.2)."""
    a, b, c, d = matrix
    shown = [[0, 0], [0, 0]]
    for (x, y), level in {(-1, -1): 5, (1, -1): 10, (-1, 1): 15, (1, 1): 20}.items():
        shown[(b * x + d * y + 1) // 2][(a * x + c * y + 1) // 2] = level
    return shown


# A mirrored video was shown upside down: NextLevel/NextLevel issue 250.
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("matrix", MATRICES)
def test_a_video_is_shown_according_to_its_display_matrix(
    tmp_path: Path, matrix: tuple[int, int, int, int], suffix: str
) -> None:
    path = turned(write_clip(tmp_path / f"clip{suffix}", [marked()]), matrix)
    (source,) = opened(path)
    (frame,) = frames_of(source)
    assert frame.image.shape == ((64, 48, 3) if matrix[0] == 0 else (48, 64, 3))
    assert corners_of(frame.image) == moved(matrix)
    (small,) = frames_of(source, Reading(fit=(32, 32)))
    assert small.size == frame.size
    assert corners_of(small.image) == moved(matrix)


@pytest.mark.parametrize(
    ("matrix", "orientation"),
    [
        # Not quite a quarter turn, as in a stabilized video; then almost no turn.
        ((5, 65536, 0, -65536, 5), Orientation(turns=3)),
        ((60000, 9000, 0, -9000, 60000), Orientation()),
        ((60000, -9000, 0, 9000, 60000), Orientation()),
        ((0, 0, 0, 0, 0), Orientation()),
        # Mirrored and enlarged
        ((-131072, 0, 0, 0, 131072), Orientation(is_mirrored=True)),
    ],
)
def test_any_matrix_is_read_as_the_nearest_of_the_eight_orientations(
    matrix: tuple[int, ...], orientation: Orientation
) -> None:
    data = np.array([*matrix, 0, 0, 0, 1 << 30], np.int32).tobytes()
    assert orientation_in(data) == orientation


# The operation that makes a picture with each EXIF orientation upright. The standard defines an
# orientation by the sides at which the first stored row and column are shown.
EXIF = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image.swapaxes(0, 1)[:, ::-1],
    7: lambda image: image.swapaxes(0, 1)[::-1, ::-1],
    8: lambda image: image.swapaxes(0, 1)[::-1],
}


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "avif"])
@pytest.mark.parametrize("orientation", EXIF)
def test_a_picture_is_shown_according_to_exif(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    picture = Pillow.fromarray(marked())
    exif = picture.getexif()
    exif[0x112] = orientation
    picture.save(tmp_path / f"a.{suffix}", exif=exif, quality=95)
    (source,) = opened(tmp_path / f"a.{suffix}")
    (frame,) = frames_of(source)
    expected = EXIF[orientation](marked())
    assert frame.image.shape == expected.shape
    assert corners_of(frame.image) == corners_of(expected)


# In Motion JPEG, each picture has EXIF data, which FFmpeg attaches to its frame.
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_video_of_jpegs_is_rotated_according_to_exif(tmp_path: Path, orientation: int) -> None:
    picture = Pillow.fromarray(marked())
    exif = picture.getexif()
    exif[0x112] = orientation
    picture.save(tmp_path / "a.jpg", exif=exif, quality=95)
    (tmp_path / "clip.mjpeg").write_bytes((tmp_path / "a.jpg").read_bytes() * 3)
    frames = frames_of(Video(str(tmp_path / "clip.mjpeg"), "clip", format="mjpeg"))
    assert len(frames) == 3
    assert corners_of(frames[0].image) == corners_of(EXIF[orientation](marked()))


# In H.264, the display orientation SEI is in keyframes and applies to the frames after them.
@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".mp4"])
def test_all_frames_are_rotated_by_the_orientation_in_keyframes(
    tmp_path: Path, suffix: str
) -> None:
    plain = write_clip(tmp_path / f"plain{suffix}", [marked()] * 12)
    path = tmp_path / f"clip{suffix}"
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        with_orientation = BitStreamFilterContext(
            "h264_metadata=display_orientation=insert:rotate=90", stream, copy
        )
        for packet in source.demux(stream):
            for changed in with_orientation.filter(packet if packet.size else None):
                changed.stream = copy
                target.mux(changed)
    (turned_source,) = opened(path)
    frames = frames_of(turned_source)
    assert len(frames) == 12
    assert {frame.size for frame in frames} == {(64, 48)}
    assert corners_of(frames[-1].image) == corners_of(np.rot90(marked()))


def test_all_frames_of_an_animation_are_rotated(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x112] = 6
    first, *others = (Pillow.fromarray(gray(level)) for level in (50, 100, 150))
    first.save(tmp_path / "a.png", save_all=True, append_images=others, duration=100, exif=exif)
    (source,) = opened(tmp_path / "a.png")
    assert [frame.size for frame in frames_of(source)] == [(64, 48)] * 3


def test_each_jpeg_in_a_video_has_its_own_orientation(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x112] = 6
    picture = Pillow.fromarray(marked())
    picture.save(tmp_path / "turned.jpg", exif=exif)
    picture.save(tmp_path / "upright.jpg")
    data = [(tmp_path / name).read_bytes() for name in ("turned.jpg", "upright.jpg")]
    (tmp_path / "clip.mjpeg").write_bytes(b"".join(data * 2))
    frames = frames_of(Video(str(tmp_path / "clip.mjpeg"), "clip", format="mjpeg"))
    assert [frame.size for frame in frames] == [(64, 48), (48, 64)] * 2


# Anamorphic videos looked squeezed: opencv/opencv issue 4921, Zulko/moviepy issue 1330.
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize(
    ("pixel_aspect", "size"),
    [
        (Fraction(4, 3), (48, 85)),
        (Fraction(3, 4), (64, 64)),
        (Fraction(64, 45), (48, 91)),
        (Fraction(2), (48, 128)),
    ],
)
def test_a_video_with_any_pixel_aspect_has_its_display_proportions(
    tmp_path: Path, pixel_aspect: Fraction, size: tuple[int, int], suffix: str
) -> None:
    path = write_clip(tmp_path / f"clip{suffix}", [marked()], pixel_aspect=pixel_aspect)
    (source,) = opened(path)
    (frame,) = frames_of(source)
    assert frame.image.shape[:2] == frame.size == size
    assert corners_of(frame.image) == corners_of(marked())
    (small,) = frames_of(source, Reading(fit=(40, 40)))
    assert small.size == size
    assert max(small.image.shape[:2]) == 40
    shown = small.image.shape[1] / small.image.shape[0]
    assert shown == pytest.approx(size[1] / size[0], rel=0.15)


def test_a_rotated_video_is_stretched_before_its_rotation(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", [marked()], pixel_aspect=Fraction(2))
    (source,) = opened(turned(path, (0, 1, -1, 0)))
    (frame,) = frames_of(source)
    assert frame.image.shape == (128, 48, 3)
    assert corners_of(frame.image) == moved((0, 1, -1, 0))


def test_proportions_may_change_within_a_video(tmp_path: Path) -> None:
    # Television changes between 4:3 and 16:9.
    both = tmp_path / "both.ts"
    clips = [
        write_clip(tmp_path / f"{number}.ts", [marked()] * 5, pixel_aspect=pixel_aspect)
        for number, pixel_aspect in enumerate([Fraction(16, 15), Fraction(64, 45)])
    ]
    both.write_bytes(b"".join(clip.read_bytes() for clip in clips))
    (source,) = opened(both)
    assert [frame.size for frame in frames_of(source)] == [(48, 68)] * 5 + [(48, 91)] * 5


@pytest.mark.parametrize("pixel_aspect", [None, Fraction(0), Fraction(1, 255), Fraction(255)])
def test_implausible_pixel_aspects_are_ignored(pixel_aspect: Fraction | None) -> None:
    assert with_square_pixels((720, 1280), pixel_aspect) == (720, 1280)


@pytest.mark.parametrize("pixel_aspect", [Fraction(1, 255), Fraction(255)])
def test_a_video_with_an_implausible_pixel_aspect_is_read_as_stored(
    tmp_path: Path, pixel_aspect: Fraction
) -> None:
    (source,) = opened(write_clip(tmp_path / "clip.ts", [marked()], pixel_aspect=pixel_aspect))
    (frame,) = frames_of(source)
    assert frame.size == (48, 64)
