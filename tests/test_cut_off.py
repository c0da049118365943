"""Files that end before their own container says so, such as half a copy."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest
from clips import frames_of, noise, opened, write_clip
from PIL import Image as Pillow
from yolostream.errors import SourceError
from yolostream.sources.cut_off import is_cut_off

IMAGES = [noise(number, width=64, height=48) for number in range(8)]


def write_animation(path: Path) -> Path:
    pictures = [Pillow.fromarray(image) for image in IMAGES]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    return path


def write_video(path: Path) -> Path:
    return write_clip(
        path, IMAGES, codec={".webm": "vp9", ".avi": "mpeg4"}.get(path.suffix, "h264")
    )


class Pipe(io.RawIOBase):
    """What a recorder writes to if it cannot go back to say the size."""

    def __init__(self) -> None:
        self.written = b""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.written += bytes(data)  # type: ignore[call-overload]  # a buffer
        return len(self.written)


def recorded_live(format: str) -> bytes:
    pipe = Pipe()
    with av.open(pipe, "w", format=format) as container:
        stream = container.add_stream("mpeg4", rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for image in IMAGES:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return pipe.written


# The last bytes of some formats do not matter: an AVI's size may include its header, and all frames
# come before the trailer of a GIF and the checksum of a PNG's last chunk.
FORMATS = [
    pytest.param("clip.mkv", write_video, "matroska,webm", 0, id="mkv"),
    pytest.param("clip.webm", write_video, "matroska,webm", 0, id="webm"),
    pytest.param("clip.avi", write_video, "avi", 8, id="avi"),
    pytest.param("clip.gif", write_animation, "gif", 2, id="gif"),
    pytest.param("clip.png", write_animation, "apng", 4, id="png"),
]


@pytest.mark.parametrize(("name", "write", "format", "tail"), FORMATS)
def test_a_file_that_is_cut_off_anywhere_is_known(
    tmp_path: Path, name: str, write: Callable[[Path], Path], format: str, tail: int
) -> None:
    path = write(tmp_path / name)
    data = path.read_bytes()
    assert not is_cut_off(path, format)
    assert len(frames_of(*opened(path))) == len(IMAGES)
    path.write_bytes(data + b"more")
    assert not is_cut_off(path, format)
    missed = []
    for kept in {*range(100, len(data) - tail, 97), *range(len(data) - 300, len(data) - tail)}:
        path.write_bytes(data[:kept])
        missed += [] if is_cut_off(path, format) else [kept]
    assert missed == []


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
@pytest.mark.parametrize(("name", "write", "format", "tail"), FORMATS)
def test_a_file_that_is_cut_off_keeps_its_frames_and_ends_with_an_error(
    tmp_path: Path, name: str, write: Callable[[Path], Path], format: str, tail: int, kept: float
) -> None:
    path = write(tmp_path / name)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    frames = []
    with pytest.raises(SourceError, match=r"breaks off after \d.*the file is cut off.*copy"):
        frames.extend(opened(path)[0].open())
    assert kept * len(IMAGES) - 2 <= len(frames) <= kept * len(IMAGES) + 1


@pytest.mark.parametrize(("name", "format"), [("live.mkv", "matroska"), ("live.avi", "avi")])
@pytest.mark.parametrize("kept", [1.0, 0.7])
def test_a_recording_that_does_not_say_its_size_ends_without_an_error(
    tmp_path: Path, name: str, format: str, kept: float
) -> None:
    data = recorded_live(format)
    path = tmp_path / name
    path.write_bytes(data[: int(kept * len(data))])
    assert kept * len(IMAGES) - 3 <= len(frames_of(*opened(path))) <= len(IMAGES)


@pytest.mark.parametrize("name", ["killed.mkv", "killed.avi"])
def test_a_recording_whose_recorder_was_killed_ends_without_an_error(
    tmp_path: Path, name: str
) -> None:
    written, path = tmp_path / f"written_{name}", tmp_path / name
    with av.open(str(written), "w", options={"flush_packets": "1"}) as container:
        stream = container.add_stream("mpeg4", rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for image in IMAGES * 20:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        # The file as it is before the recorder closes it.
        path.write_bytes(written.read_bytes())
    assert len(frames_of(*opened(path))) > 100


def test_a_long_avi_has_several_chunks(tmp_path: Path) -> None:
    chunks = b"RIFF\x0c\0\0\0AVI listhead", b"RIFF\x05\0\0\0AVIX_\0", b"RIFF\x06\0\0\0AVIX__"
    path = tmp_path / "long.avi"
    path.write_bytes(b"".join(chunks))
    assert not is_cut_off(path, "avi")
    # A cut within the header's length is not certain, so more is cut here.
    path.write_bytes(b"".join(chunks[:2]) + b"RIFF\x40\0\0\0AVIX__")
    assert is_cut_off(path, "avi")
    path.write_bytes(b"".join(chunks[:2]) + b"RIFF\xff\xff\xff\xffAVIX__")
    assert not is_cut_off(path, "avi")


def test_only_files_of_a_known_format_are_judged(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    assert not is_cut_off(path, "avi")
    path.write_bytes(b"RIFF\xff\0\0\0AVI ")
    assert is_cut_off(path, "avi")
    assert not is_cut_off(path, "mpegts")
    path.write_bytes(b"nothing that a demuxer would take for a video")
    assert not any(is_cut_off(path, format) for format in ("matroska,webm", "avi", "gif"))
