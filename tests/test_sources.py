from __future__ import annotations

import contextlib
import itertools
import pickle
import socket
import struct
import threading
import time
import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import (
    MILLISECOND,
    frames_of,
    gray,
    noise,
    number_of,
    opened,
    packets,
    retimed,
    steps,
    trimmed,
    turned,
    write_clip,
)
from loopback import reserved_port
from yolostream.errors import SourceAbsent, SourceError
from yolostream.frame import Frame
from yolostream.sources import (
    EVERYTHING,
    Presence,
    Reading,
    Realtime,
    Source,
    Video,
    check_files,
    find_sources,
)
from yolostream.sources.decoding import DecoderName

NTSC = Fraction(30000, 1001)


def the_only(spec: Path | str) -> Source:
    (source,) = opened(str(spec))
    return source


def read(source: Source, reading: Reading = EVERYTHING) -> list[Frame]:
    return frames_of(source, reading)


def rate_of(source: Source) -> Fraction:
    with contextlib.closing(source.open()) as session:
        return session.frame_rate


def count_of(source: Source) -> int | None:
    with contextlib.closing(source.open()) as session:
        return session.frame_count


def read_until_error(source: Source) -> tuple[list[Frame], str]:
    """All frames before the error, and its message."""
    frames = []

    def take() -> None:
        for frame in session:
            frames.append(frame)  # the frames before the error are needed

    with contextlib.closing(source.open()) as session, pytest.raises(SourceError) as caught:
        take()
    return frames, str(caught.value)


def times_ms(frames: list[Frame]) -> list[int]:
    return [round(1000 * frame.pts_seconds) for frame in frames]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi", ".mov"])
def test_a_video_has_every_frame_in_order(tmp_path: Path, suffix: str) -> None:
    source = the_only(write_clip(tmp_path / f"clip{suffix}", steps(12)))
    assert (source.name, rate_of(source)) == ("clip", 10)
    assert source.is_video
    assert not source.is_live
    assert count_of(source) in (12, None)
    frames = read(source)
    assert [frame.index for frame in frames] == list(range(12))
    assert [number_of(frame.image) for frame in frames] == list(range(12))
    assert {(f.image.shape, f.image.dtype.name) for f in frames} == {((48, 64, 3), "uint8")}
    assert np.diff(times_ms(frames)).tolist() == pytest.approx([100] * 11, abs=1)


@pytest.mark.parametrize(
    ("width", "height"), [(1, 1), (33, 47), (64, 48), (36, 64), (640, 16), (2, 128)]
)
def test_any_size_and_aspect_ratio_is_read_unchanged(
    tmp_path: Path, width: int, height: int
) -> None:
    path = write_clip(tmp_path / "clip.mp4", steps(3, width=width, height=height))
    frames = read(the_only(path))
    assert [frame.image.shape for frame in frames] == [(height, width, 3)] * 3
    assert [number_of(frame.image) for frame in frames] == [0, 1, 2]


def test_colors_are_rgb(tmp_path: Path) -> None:
    red = gray(0)
    red[..., 0] = 220
    (frame,) = read(the_only(write_clip(tmp_path / "red.mp4", [red])))
    assert np.abs(frame.image.mean(axis=(0, 1)) - [220, 0, 0]).max() < 8


def test_the_rate_of_ntsc_is_kept_as_a_fraction(tmp_path: Path) -> None:
    source = the_only(write_clip(tmp_path / "clip.mp4", steps(6), rate=NTSC))
    assert rate_of(source) == NTSC
    assert [f.pts * f.time_base for f in read(source)] == [n / NTSC for n in range(6)]


def test_a_variable_frame_rate_and_a_start_offset_are_kept(tmp_path: Path) -> None:
    times = [5000, 5040, 5100, 5500, 5533, 5900]
    path = write_clip(tmp_path / "clip.mkv", steps(6), pts=times, time_base=MILLISECOND)
    assert times_ms(read(the_only(path))) == times


HOUR = 3600 * 90_000
TICK = Fraction(1, 90_000)


def ticks(*begins: int) -> list[int]:
    """The times of five pictures at 30 per second from each of `begins` on."""
    return [begin + 3000 * n for begin in begins for n in range(5)]


@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".mp4"])
@pytest.mark.parametrize("hours", [1, 10])
def test_a_jump_between_recordings_is_replaced_by_a_usual_step(
    tmp_path: Path, suffix: str, hours: int
) -> None:
    path = tmp_path / f"clip{suffix}"
    write_clip(
        path, steps(10), rate=30, pts=ticks(0, 3000 * 5 + hours * HOUR), time_base=TICK, gop=1
    )
    source = the_only(path)
    frames = read(source)
    assert [number_of(frame.image) for frame in frames] == list(range(10))
    assert np.diff(times_ms(frames)).tolist() == pytest.approx([1000 / 30] * 9, abs=1.1)
    if (suffix, hours) != (".mp4", 10):
        # MP4 cannot have such a long picture, so the muxer has squeezed the times.
        assert frames[-1].source_pts_seconds == pytest.approx(3600 * hours + 9 / 30, abs=0.01)
        assert rate_of(source) == 30


def test_a_clock_that_steps_back_is_continued_by_the_usual_step(tmp_path: Path) -> None:
    path = tmp_path / "clip.ts"
    back = ticks(10 * 90_000, 8 * 90_000)
    write_clip(path, steps(10), rate=30, pts=ticks(0, 15_000), time_base=TICK, gop=1)
    frames = read(the_only(retimed(path, back)))
    assert np.diff(times_ms(frames)).tolist() == pytest.approx([1000 / 30] * 9, abs=1.1)
    source_times = [frame.source_pts_seconds for frame in frames]
    assert source_times[4] == pytest.approx(10 + 4 / 30, abs=0.001)
    assert source_times[5] == pytest.approx(8, abs=0.001)


def test_the_clock_of_mpeg_ts_may_wrap_around(tmp_path: Path) -> None:
    path = tmp_path / "clip.ts"
    write_clip(path, steps(10), rate=30, pts=ticks(0, 15_000), time_base=TICK)
    frames = read(the_only(retimed(path, ticks(2**33 - 15_000, 0))))
    assert [number_of(frame.image) for frame in frames] == list(range(10))
    # FFmpeg makes the first times negative.
    assert frames[0].pts < 0
    assert np.diff([frame.pts for frame in frames]).tolist() == [3000] * 9


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".avi"])
def test_a_slow_video_has_its_own_rate(tmp_path: Path, suffix: str) -> None:
    codec = "mpeg4" if suffix == ".avi" else "libx264"
    path = tmp_path / f"clip{suffix}"
    source = the_only(write_clip(path, steps(12), rate=Fraction(1, 2), codec=codec))
    assert rate_of(source) == Fraction(1, 2)
    assert times_ms(read(source)) == [2000 * n for n in range(12)]


def test_a_long_picture_of_a_slide_show_keeps_its_duration(tmp_path: Path) -> None:
    times = [0, 5000, 5040, 45_000, 45_040]
    path = write_clip(tmp_path / "clip.mp4", steps(5), pts=times, time_base=MILLISECOND)
    assert times_ms(read(the_only(path))) == times
    assert rate_of(the_only(path)) == pytest.approx(4 / 45, rel=0.1)


def test_pictures_without_timestamps_have_their_arrival_times() -> None:
    # MJPEG without a container over UDP: obsproject/obs-studio#4268.
    with reserved_port() as port, sending_pictures(port, interval_s=0.4) as slow_down:
        (source,), _ = find_sources([f"udp://127.0.0.1:{port}"])
        with contextlib.closing(source.open()) as session:
            slow_down.set()
            pairs = itertools.islice(itertools.pairwise(session), 2000)
            # FFmpeg would assume 25 pictures per second.
            slow = itertools.dropwhile(lambda pair: not is_bright(pair[0]), pairs)
            seen = list(itertools.islice(slow, 5))
    assert sum(map(seconds_between, seen)) >= 5 * 0.3
    assert all(frame.source_pts_seconds is None for _, frame in seen)


def is_bright(frame: Frame) -> bool:
    return float(np.mean(frame.image)) > 127


def seconds_between(pair: tuple[Frame, Frame]) -> float:
    return pair[1].pts_seconds - pair[0].pts_seconds


@contextlib.contextmanager
def sending_pictures(port: int, *, interval_s: float) -> Iterator[threading.Event]:
    """Send JPEGs that are too large for one datagram: dark ones fast, then bright ones slowly.

    They become slow when the event is set. FFmpeg reads 125 pictures before it opens such a
    stream, and must not need 10 s for that, because the timeout would interrupt it within a
    picture. The buffers of the receiver have room for all of them, so that none is lost on a busy
    machine.
    """
    dark, bright = (
        cv2.imencode(".jpg", noise(0, width=64, height=48) // 2 + light)[1].tobytes()
        for light in (0, 128)
    )
    slow_down, stopped = threading.Event(), threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not stopped.wait(interval_s if slow_down.is_set() else 0.005):
                picture = bright if slow_down.is_set() else dark
                for start in range(0, len(picture), 1300):
                    with contextlib.suppress(OSError):
                        sender.sendto(picture[start : start + 1300], ("127.0.0.1", port))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield slow_down
    finally:
        stopped.set()
        thread.join()


@pytest.mark.parametrize(
    ("suffix", "codec", "format", "rate"),
    [
        (".h264", "libx264", "h264", Fraction(5)),
        (".264", "libx264", "h264", Fraction(30_000, 1001)),
        (".265", "libx265", "hevc", Fraction(25, 2)),
        (".m1v", "mpeg1video", "mpeg1video", Fraction(30)),
    ],
)
def test_a_video_without_timestamps_is_timed_by_its_own_frame_rate(
    tmp_path: Path, suffix: str, codec: str, format: str, rate: Fraction
) -> None:
    # Recorders save raw H.264, which has a frame rate but no times. FFmpeg assumes 25 per second.
    path = tmp_path / f"clip{suffix}"
    source = the_only(write_clip(path, steps(12), rate=rate, codec=codec, format=format))
    frames = read(source)
    assert float(rate_of(source)) == pytest.approx(float(rate), rel=1e-3)
    expected = [n * 1000 / float(rate) for n in range(12)]
    assert [frame.pts_seconds * 1000 for frame in frames] == pytest.approx(expected, abs=1)
    assert all(frame.source_pts_seconds is None for frame in frames)


def test_an_implausible_frame_rate_is_ignored(tmp_path: Path) -> None:
    # FFmpeg reports 60,000 pictures per second for PAL DV, and a header may contain any number.
    path = write_clip(tmp_path / "clip.avi", steps(10), rate=Fraction(25), codec="mpeg4")
    data = bytearray(path.read_bytes())
    # The scale and the rate in the header of the stream.
    rate = data.index(b"strh") + 28
    assert struct.unpack_from("<II", data, rate) == (1, 25)
    struct.pack_into("<II", data, rate, 1, 1_000_000)
    path.write_bytes(data)
    # The rate is derived from the times of the pictures.
    assert rate_of(the_only(path)) == 25
    assert times_ms(read(the_only(path))) == [40 * n for n in range(10)]


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    assert len(read(the_only(write_clip(tmp_path / "clip.mp4", steps(1))))) == 1


def test_the_size_may_change_within_a_video(tmp_path: Path) -> None:
    small = write_clip(tmp_path / "small.ts", steps(5))
    large = write_clip(tmp_path / "large.ts", steps(5, width=96, height=64))
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    frames = read(the_only(both))
    assert [f.image.shape[:2] for f in frames] == [(48, 64)] * 5 + [(64, 96)] * 5
    assert [number_of(f.image) for f in frames] == [0, 1, 2, 3, 4] * 2
    # The clock of the second recording starts anew, but the times must increase.
    assert (np.diff([f.pts for f in frames]) > 0).all()


@pytest.mark.parametrize(
    ("matrix", "corner"),
    [
        pytest.param((0, 1, -1, 0), (0, 1), id="quarter clockwise"),
        pytest.param((-1, 0, 0, -1), (1, 1), id="half"),
        pytest.param((0, -1, 1, 0), (1, 0), id="quarter counterclockwise"),
    ],
)
def test_a_video_of_a_phone_is_rotated_upright(
    tmp_path: Path, matrix: tuple[int, int, int, int], corner: tuple[int, int]
) -> None:
    marked = gray(0)
    marked[:24, :32] = 255
    path = turned(write_clip(tmp_path / "clip.mp4", [marked]), matrix)
    (frame,) = read(the_only(path))
    assert frame.image.shape == ((64, 48, 3) if matrix[0] == 0 else (48, 64, 3))
    halves = np.array_split(frame.image, 2, axis=0)
    quarters = [[part.mean() for part in np.array_split(half, 2, axis=1)] for half in halves]
    assert np.unravel_index(np.argmax(quarters), (2, 2)) == corner
    assert sorted(np.ravel(quarters))[2] < 10


def test_a_truncated_mp4_has_all_frames_before_its_end(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", steps(12))
    path.write_bytes(path.read_bytes()[: packets(path)[6][0] + 5])
    frames, message = read_until_error(the_only(path))
    assert [number_of(frame.image) for frame in frames[:6]] == list(range(6))
    assert len(frames) <= 7
    assert f"{path} breaks off" in message
    assert "of 12 frames" in message


def test_a_truncated_mp4_without_index_is_refused(tmp_path: Path) -> None:
    # Cameras write the index at the end; without it, no frame can be found.
    path = write_clip(tmp_path / "clip.mov", steps(4))
    path.write_bytes(path.read_bytes()[: packets(path)[3][0]])
    with pytest.raises(SourceError, match=r"cannot read .*clip\.mov as video"):
        opened(str(path))


def test_a_trimmed_mp4_is_not_reported_as_truncated(tmp_path: Path) -> None:
    frames = read(the_only(trimmed(write_clip(tmp_path / "clip.mp4", steps(20)))))
    assert [number_of(frame.image) for frame in frames] == list(range(10))


def test_an_avi_with_dropped_frames_is_not_reported_as_truncated(tmp_path: Path) -> None:
    # AVI has no timestamps, so a recorder that drops frames leaves gaps in their numbers.
    path = write_clip(tmp_path / "clip.avi", steps(6), pts=[0, 1, 2, 5, 6, 9], codec="mpeg4")
    assert times_ms(read(the_only(path))) == [0, 100, 200, 500, 600, 900]


def test_a_damaged_packet_does_not_end_a_video(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", steps(20), gop=5)
    data = bytearray(path.read_bytes())
    start, size = packets(path)[7]
    data[start : start + size] = b"\xff" * size
    path.write_bytes(data)
    frames = []
    with contextlib.closing(the_only(path).open()) as session:
        try:
            for frame in session:
                frames.append(frame)  # the frames before an error are needed
        except SourceError as error:
            assert str(path) in str(error)  # noqa: PT017  # an error at the end is allowed
    numbers = [number_of(frame.image) for frame in frames]
    # Frame 10 is the next keyframe.
    assert numbers[:7] == list(range(7))
    assert numbers[-10:] == list(range(10, 20))


@pytest.mark.parametrize("content", [b"", b"not a video\n" * 50, bytes(5000)])
def test_a_file_that_is_no_video_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"cannot read .*clip\.mp4 as video"):
        opened(str(path))


def test_a_file_with_only_audio_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    with pytest.raises(SourceError, match="has no video"):
        opened(str(path))


@pytest.mark.parametrize("spec", ["rtsp://127.0.0.1:1/x", "http://127.0.0.1:1/x.mp4", "99"])
def test_a_missing_stream_or_camera_is_named(spec: str) -> None:
    with pytest.raises(SourceError, match=spec):
        the_only(spec).open()


def write_picture(path: Path, level: int = 100, *, width: int = 20, height: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # OpenCV expects BGR; a red picture shows whether the order is right.
    assert cv2.imwrite(str(path), np.full((height, width, 3), (0, 0, level), np.uint8))
    return path


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".bmp", ".tif", ".webp"])
def test_a_picture_is_one_rgb_frame(tmp_path: Path, suffix: str) -> None:
    source = the_only(write_picture(tmp_path / f"one{suffix}"))
    assert (source.name, count_of(source), source.is_video) == ("one", 1, False)
    (frame,) = read(source)
    assert frame.image.shape == (10, 20, 3)
    assert np.abs(frame.image.mean(axis=(0, 1)) - [100, 0, 0]).max() < 8
    assert frame.name == f"one{suffix}"


def test_a_folder_of_pictures_is_one_source_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "c.png"):
        write_picture(tmp_path / "street" / name)
    source = the_only(tmp_path / "street")
    assert (source.name, count_of(source)) == ("street", 3)
    assert [(f.name, f.index) for f in read(source)] == [("a.png", 0), ("b.png", 1), ("c.png", 2)]


def test_a_glob_selects_the_matching_pictures(tmp_path: Path) -> None:
    for name in ("a1.png", "a2.png", "b1.png"):
        write_picture(tmp_path / "street" / name)
    source = the_only(tmp_path / "street" / "a*.png")
    assert source.name == "street"
    assert [frame.name for frame in read(source)] == ["a1.png", "a2.png"]


def test_pictures_of_different_sizes_are_one_source(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", width=1, height=1)
    write_picture(tmp_path / "b.png", width=300, height=2)
    assert [f.image.shape for f in read(the_only(tmp_path))] == [(1, 1, 3), (2, 300, 3)]


def test_a_broken_picture_is_named_after_the_others_are_read(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    (tmp_path / "c.png").write_bytes(b"")
    write_picture(tmp_path / "d.png")
    frames, message = read_until_error(the_only(tmp_path))
    assert [frame.name for frame in frames] == ["a.png", "d.png"]
    assert str(tmp_path / "b.png") in message
    assert str(tmp_path / "c.png") in message


def test_a_picture_that_was_removed_or_is_a_folder_is_named(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    (tmp_path / "b.png").mkdir()
    frames, message = read_until_error(the_only(tmp_path / "*.png"))
    assert [frame.name for frame in frames] == ["a.png"]
    assert str(tmp_path / "b.png") in message


def test_a_folder_with_pictures_and_videos_has_both(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    write_picture(folder / "a.png")
    write_clip(folder / "clip.mp4", steps(2))
    found = opened(str(folder))
    assert sorted(source.is_video for source in found) == [False, True]


def test_a_folder_with_a_bad_video_has_the_good_ones(tmp_path: Path) -> None:
    write_clip(tmp_path / "good.mp4", steps(2))
    (tmp_path / "bad.mp4").write_text("no video")
    found, errors = check_files(find_sources([str(tmp_path)])[0])
    assert [source.name for source in found] == ["good"]
    assert "bad.mp4" in str(errors[0])


def test_other_files_in_a_folder_are_ignored(tmp_path: Path) -> None:
    # The videos/ of this repository also contains labels.
    write_clip(tmp_path / "clip.mp4", steps(2))
    (tmp_path / "clip.coco.json").write_text("{}")
    (tmp_path / "clip.txt").write_text("1,1,0,0,5,5,1,-1,-1,-1\n")
    (tmp_path / ".hidden").write_bytes(b"\0")
    found, errors = find_sources([str(tmp_path)])
    assert not errors
    assert [source.name for source in found] == ["clip"]


def test_an_empty_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"empty folder: put pictures or videos in it"):
        opened(str(tmp_path))
    with pytest.raises(SourceError, match=r"no such file, folder or glob: .*gone\.mp4"):
        opened(str(tmp_path / "gone.mp4"))


def test_sources_with_the_same_name_get_different_names(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "clip.mp4" for folder in "abc"]
    paths.append(tmp_path / "clip_2.mp4")
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        write_clip(path, steps(1))
    found, errors = find_sources([str(path) for path in paths])
    assert not errors
    assert found[0].name == "clip"
    assert len({source.name for source in found}) == 4


def test_a_folder_given_as_a_dot_has_the_name_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_picture(tmp_path / "street" / "a.png")
    monkeypatch.chdir(tmp_path / "street")
    # Outputs have this name, so "" and ".." would hide them or leave the output folder.
    assert the_only(".").name == "street"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "street" / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "street" / "deep")
    assert the_only("..").name == "street"


def test_a_missing_stream_is_named_without_its_password() -> None:
    with pytest.raises(
        SourceError, match=r"cannot read rtsp://127\.0\.0\.1:1/street .*address"
    ) as refused:
        the_only("rtsp://user:secret@127.0.0.1:1/street").open()
    assert "secret" not in str(refused.value)


def test_a_source_can_be_opened_repeatedly(tmp_path: Path) -> None:
    source = the_only(write_clip(tmp_path / "clip.mp4", steps(3)))
    first, second = read(source), read(pickle.loads(pickle.dumps(source)))
    assert [f.index for f in first] == [f.index for f in second] == [0, 1, 2]
    assert {frame.source for frame in first} == {"clip"}


def test_a_stride_keeps_the_numbers_of_frames(tmp_path: Path) -> None:
    source = the_only(write_clip(tmp_path / "clip.mp4", steps(7)))
    frames = read(source, Reading(stride=3))
    assert [(f.index, number_of(f.image)) for f in frames] == [(0, 0), (3, 3), (6, 6)]


@pytest.mark.parametrize("decoder", ["cpu", "auto"])
def test_pictures_are_downscaled_to_the_requested_size(
    tmp_path: Path, decoder: DecoderName
) -> None:
    path = write_clip(tmp_path / "clip.mp4", steps(2, width=640, height=480))
    source = Video(str(path), "clip", decoder=decoder)
    frames = read(source, Reading(fit=(320, 320)))
    assert [(f.image.shape, f.size) for f in frames] == [((240, 320, 3), (480, 640))] * 2
    assert [number_of(f.image) for f in frames] == [0, 1]
    whole = read(source, Reading(fit=(2000, 2000)))
    assert whole[0].image.shape == (480, 640, 3)


def test_a_rotated_video_is_downscaled_to_the_requested_size(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", [gray(50, width=640, height=320)])
    (frame,) = read(the_only(turned(path, (0, 1, -1, 0))), Reading(fit=(320, 320)))
    assert frame.image.shape == (320, 160, 3)
    assert frame.size == (640, 320)


def test_a_downscaled_picture_equals_that_of_the_client(tmp_path: Path) -> None:
    scene = cv2.resize(
        np.random.default_rng(1).integers(0, 256, (6, 10, 3), np.uint8), (1920, 1080)
    )
    source = the_only(write_clip(tmp_path / "clip.mp4", [scene]))
    (whole,), (small,) = read(source), read(source, Reading(fit=(640, 640)))
    of_client = cv2.resize(whole.image, (640, 360), interpolation=cv2.INTER_LINEAR)
    assert np.abs(small.image.astype(int) - of_client).mean() < 2


@pytest.mark.parametrize("spec", ["77", "/dev/video77", "/dev/v4l/by-id/usb-of-one-camera"])
def test_an_absent_device_is_a_camera_if_devices_are_waited_for(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sources, errors = find_sources([spec])
    assert (sources, len(errors)) == ([], 1)
    (camera,), errors = find_sources([spec], waits_for_devices=True)
    assert errors == []
    assert camera.is_live
    assert camera.presence() == Presence.ABSENT
    with pytest.raises(SourceAbsent, match="plugged in"):
        camera.open()
    # A file with that name is read as a file.
    write_clip(tmp_path / "77", steps(1), format="mp4")
    (clip,), _ = find_sources(["77"], waits_for_devices=True)
    assert not clip.is_live


def test_a_file_is_read_in_real_time_and_in_a_loop(tmp_path: Path) -> None:
    video = Video(str(write_clip(tmp_path / "clip.mp4", steps(4), rate=20)), "clip")
    started = time.monotonic()
    assert len(read(Realtime(video))) == 4
    assert time.monotonic() - started >= 0.15
    with contextlib.closing(Realtime(video, loops=True).open()) as session:
        frames = list(itertools.islice(session, 10))
    assert [frame.index for frame in frames] == list(range(10))
    assert times_ms(frames) == [50 * n for n in range(10)]
    assert [number_of(frame.image) for frame in frames] == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


def test_a_file_that_starts_late_loops_without_a_gap(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", steps(3), pts=[70, 71, 72], rate=20)
    with contextlib.closing(Realtime(Video(str(path), "clip"), loops=True).open()) as session:
        frames = list(itertools.islice(session, 7))
    assert times_ms(frames) == [3500 + 50 * n for n in range(7)]


@pytest.mark.parametrize("most", [5, 3, 0.8])
def test_a_loop_continues_at_the_wanted_rate(tmp_path: Path, most: float) -> None:
    # The clip takes 0.75 s, which is no multiple of a wanted interval. Some rounds have no
    # picture.
    video = Video(str(write_clip(tmp_path / "clip.mp4", steps(15), rate=20)), "clip")
    reading = Reading(most_per_second=lambda: most)
    with contextlib.closing(Realtime(video, loops=True).open(reading)) as session:
        frames = list(itertools.islice(session, 6))
    times = times_ms(frames)
    assert times[-1] == pytest.approx(5000 / most, abs=50)
    for earlier, later in itertools.pairwise(times):
        assert later - earlier == pytest.approx(1000 / most, abs=50)
    assert [frame.index for frame in frames] == [time // 50 for time in times]
    assert [number_of(frame.image) for frame in frames] == [time // 50 % 15 for time in times]


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://admin:secret@10.0.0.5:554",
        "rtsp://admin:se@cret@10.0.0.5",
        "rtsp://a:secret@h/x?q=1",
    ],
)
def test_the_name_of_a_source_contains_no_password(address: str) -> None:
    (source,), _ = find_sources([address])
    assert "cret" not in source.name
    assert source.name
