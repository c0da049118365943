"""Choice of the decoder, and equality of all decoders, without a GPU."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
import types
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorTrc
from clips import (
    MATRICES,
    MILLISECOND,
    frames_of,
    gray,
    noise,
    packets,
    steps,
    trimmed,
    turned,
    write_clip,
)
from stand_in_gpu import DeviceArray, Gpu, stand_in_cupy, stand_in_nvc
from yolostream.errors import SourceError
from yolostream.gpu_memory import on_host
from yolostream.sources import Reading, Video, find_sources, nvdec
from yolostream.sources.decoder import CpuDecoder, DecoderError
from yolostream.sources.decoding import DecoderName
from yolostream.sources.nvdec import GpuDecoder


@pytest.fixture
def with_nvdec(monkeypatch):
    for name, module in {
        "cupy": stand_in_cupy(Gpu()),
        "PyNvVideoCodec": stand_in_nvc(),
    }.items():
        module.__spec__ = types.SimpleNamespace(name=name)  # type: ignore[assignment]
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def without_nvdec(monkeypatch):
    def find_spec(name: str, package: str | None = None):
        return None if name in ("cupy", "PyNvVideoCodec") else found(name, package)

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", find_spec)


def read(path: Path, decoder: DecoderName):
    """The frames of a video, and its session."""
    (source,), errors = find_sources([str(path)], decoder=decoder)
    assert not errors
    with contextlib.closing(source.open()) as session:
        return list(session), session


def assert_same(path: Path) -> None:
    expected, cpu = read(path, "cpu")
    frames, gpu = read(path, "gpu")
    assert all(isinstance(frame.image, DeviceArray) for frame in frames)
    assert (gpu.frame_rate, gpu.frame_count) == (cpu.frame_rate, cpu.frame_count)
    assert [(f.index, f.pts, f.time_base) for f in frames] == [
        (f.index, f.pts, f.time_base) for f in expected
    ]
    for frame, other in zip(frames, expected, strict=True):
        image = on_host(frame.image)
        assert image.shape == other.image.shape
        # FFmpeg computes RGB in 16 bits, the GPU decoder in 32 bits.
        assert np.abs(image.astype(int) - other.image).mean() < 1


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".mov"])
def test_times_and_pictures_are_those_of_the_cpu_decoder(tmp_path, with_nvdec, suffix):
    # With noise, the encoder uses B-frames, so packets are not in presentation order.
    images = [noise(number) // 4 + image[0, 0, 0] // 2 for number, image in enumerate(_grays(20))]
    assert_same(write_clip(tmp_path / f"clip{suffix}", images))


def test_the_demo_video_is_the_same(with_nvdec):
    assert_same(Path(__file__).parents[1] / "videos" / "mb1_1.mp4")


def test_a_variable_frame_rate_is_kept(tmp_path, with_nvdec):
    times = [5000, 5040, 5100, 5500, 5533, 5900]
    assert_same(write_clip(tmp_path / "c.mkv", steps(6), pts=times, time_base=MILLISECOND))


def test_a_video_without_timestamps_has_the_same_times(tmp_path, with_nvdec):
    assert_same(write_clip(tmp_path / "clip.h264", steps(8), format="h264"))


def test_frames_that_an_edit_list_hides_are_left_out(tmp_path, with_nvdec):
    assert_same(trimmed(write_clip(tmp_path / "clip.mp4", steps(20))))


@pytest.mark.parametrize("matrix", MATRICES)
def test_a_video_of_a_phone_is_rotated_upright(tmp_path, with_nvdec, matrix):
    assert_same(turned(write_clip(tmp_path / "clip.mp4", [noise(1)]), matrix))


def test_a_video_stream_after_an_audio_stream_is_rotated_upright(tmp_path, with_nvdec):
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=8000)
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(90)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.rate = 8000
        container.mux(sound.encode(silence))
        image = av.VideoFrame.from_ndarray(gray(90), format="rgb24")
        for track in (stream.encode(image), stream.encode(None), sound.encode(None)):
            container.mux(track)
    frames, _ = read(path, "gpu")
    assert isinstance(frames[0].image, DeviceArray)
    assert frames[0].size == (64, 48)


@pytest.mark.parametrize("matrix", MATRICES)
def test_pixels_are_made_square_by_both_decoders(tmp_path, with_nvdec, matrix):
    scene = cv2.resize(noise(1, width=8, height=6), (320, 240))
    path = write_clip(tmp_path / "clip.mp4", [scene], pixel_aspect=Fraction(4, 3))
    assert_same(turned(path, matrix))


@pytest.mark.parametrize("transfer", [ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67])
def test_hdr_is_decoded_and_tone_mapped_on_the_cpu(tmp_path, with_nvdec, caplog, transfer):
    path = write_clip(tmp_path / "clip.mp4", [gray(100)], transfer=transfer)
    frames, _ = read(path, "gpu")
    expected, _ = read(path, "cpu")
    np.testing.assert_array_equal(frames[0].image, expected[0].image)
    (note,) = caplog.messages
    assert "is decoded on the CPU: tone mapping of high dynamic range" in note


def test_a_truncated_video_ends_with_an_error(tmp_path, with_nvdec):
    path = write_clip(tmp_path / "clip.mp4", steps(12))
    path.write_bytes(path.read_bytes()[: packets(path)[6][0] + 5])
    with pytest.raises(SourceError, match=r"breaks off after .* of 12 frames"):
        read(path, "gpu")


def test_without_nvdec_the_cpu_is_used_and_one_line_is_logged(tmp_path, without_nvdec, caplog):
    for name in "ab":
        write_clip(tmp_path / f"{name}.mp4", steps(3))
    sources, _ = find_sources([f"{tmp_path}/*.mp4"], decoder="gpu")
    for source in sources:
        assert all(isinstance(frame.image, np.ndarray) for frame in frames_of(source))
    (note,) = set(caplog.messages)
    assert "on the CPU: cupy is not installed" in note
    assert "\n" not in note


@pytest.mark.parametrize("decoder", ["cpu", "auto"])
def test_the_cpu_is_used_without_a_log_line(tmp_path, without_nvdec, caplog, decoder):
    frames, _ = read(write_clip(tmp_path / "clip.mp4", steps(3)), decoder)
    assert all(isinstance(frame.image, np.ndarray) for frame in frames)
    assert caplog.messages == []


def test_downscaled_pictures_are_made_on_the_gpu(tmp_path, with_nvdec):
    path = write_clip(tmp_path / "clip.mp4", [noise(1, width=640, height=480)])
    (frame,) = frames_of(Video(str(path), "clip", decoder="gpu"), Reading(fit=(320, 320)))
    assert isinstance(frame.image, DeviceArray)
    assert on_host(frame.image).shape == (240, 320, 3)
    assert frame.size == (480, 640)


def test_a_library_that_does_not_load_is_logged_in_one_line(
    tmp_path, with_nvdec, monkeypatch, caplog
):
    module = types.ModuleType("PyNvVideoCodec")
    monkeypatch.setitem(sys.modules, "PyNvVideoCodec", None)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, package=None: module if name == "PyNvVideoCodec" else found(name, package),
    )
    read(write_clip(tmp_path / "clip.mp4", steps(3)), "gpu")
    (note,) = caplog.messages
    assert "PyNvVideoCodec does not load" in note
    assert "\n" not in note


@pytest.mark.parametrize(
    ("clip", "named"),
    [
        (("clip.avi", {"codec": "mpeg4"}), "not used for codec mpeg4, only for h264"),
        (("clip.mp4", {"width": 33, "height": 47}), "yuv444p 47x33 (height x width)"),
    ],
)
def test_a_video_that_nvdec_cannot_decode_falls_back_with_the_reason(
    tmp_path, with_nvdec, caplog, clip, named
):
    name, features = clip
    size = {key: features.pop(key) for key in ("width", "height") if key in features}
    path = write_clip(tmp_path / name, steps(3, **size), **features)
    frames, _ = read(path, "gpu")
    (note,) = caplog.messages
    assert len(frames) == 3
    assert note.startswith(f"{path} is decoded on the CPU: ")
    assert named in note


class Failing:
    """A decoder that fails at one packet; before that, it may return a picture for each packet."""

    def __init__(self, stream, *, at: int, pictures: bool) -> None:
        self._inner = CpuDecoder(stream)
        self._left, self._pictures = at, pictures

    def decode(self, packet):
        if not self._left:
            raise DecoderError("resolution not supported")
        self._left -= 1
        return self._inner.decode(packet) if self._pictures else []

    def close(self) -> None: ...


@pytest.fixture
def failing_nvdec(with_nvdec, monkeypatch):
    def fail(**failing) -> None:
        monkeypatch.setattr(nvdec, "GpuDecoder", lambda stream: Failing(stream, **failing))

    return fail


@pytest.mark.parametrize("at", [0, 3, 100])
def test_a_gpu_that_fails_before_the_first_picture_costs_no_frame(
    tmp_path, failing_nvdec, caplog, at
):
    path = write_clip(tmp_path / "clip.mp4", steps(12))
    failing_nvdec(at=at, pictures=False)
    frames, _ = read(path, "gpu")
    assert [frame.index for frame in frames] == list(range(12))
    assert len(caplog.messages) == 1
    expected, _ = read(path, "cpu")
    assert [frame.pts for frame in frames] == [frame.pts for frame in expected]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(frames, expected, strict=True))


def test_a_gpu_that_fails_later_ends_the_video_with_an_error(tmp_path, failing_nvdec, caplog):
    path = write_clip(tmp_path / "clip.mp4", steps(23))
    failing_nvdec(at=20, pictures=True)
    (source,), _ = find_sources([str(path)], decoder="gpu")
    frames = []

    def take() -> None:
        for frame in session:
            frames.append(frame)  # the frames before the error are needed

    broken = r"breaks off after 21 .*resolution not supported"
    with contextlib.closing(source.open()) as session, pytest.raises(SourceError, match=broken):
        take()
    assert frames
    assert caplog.messages == []


def test_the_command_line_logs_the_fallback_once_and_continues(tmp_path, triton, yolostream_cli):
    if importlib.util.find_spec("cupy") is not None:
        pytest.skip("cupy is installed; test_gpu_transport.py covers this case")
    paths = [write_clip(tmp_path / f"{name}.mp4", steps(3)) for name in "ab"]
    arguments = ("detect", *paths, "--url", triton.url, "--save", "jsonl", "--decoder", "gpu")
    done = yolostream_cli(*arguments, "--output", tmp_path / "output")
    assert done.returncode == 0
    assert done.stderr.count("note:") == 1
    assert "videos are decoded on the CPU: cupy is not installed" in done.stderr
    for name in "ab":
        lines = (tmp_path / "output" / f"{name}.jsonl").read_text().splitlines()
        assert [json.loads(line)["width"] for line in lines] == [64] * 3


def test_the_bitstream_filter_leaves_the_packet_intact(tmp_path, with_nvdec):
    # FFmpeg's bitstream filters take the data out of the packet that they get.
    path = write_clip(tmp_path / "clip.mp4", steps(3))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = GpuDecoder(stream)
        for packet in container.demux(stream):
            before = packet.size
            decoder.decode(packet)
            assert packet.size == before


def _grays(count: int):
    return steps(count, width=320, height=240)
