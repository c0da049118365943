"""The inputs of `yolostream detect` that new users try: pipes, names, streams, servers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import pytest
from clips import frames_of, gray, noise, number_of, opened, play, steps, write_clip
from instant import MODEL, REPOSITORY, serve_instant
from running import DEADLINE_S, Finished, check, errors_of, has_lines, lines, poll, started
from yolostream import Detector
from yolostream.errors import ServerStartError, SourceError, SourceUnsupported
from yolostream.interruption import EXIT_INTERRUPTED
from yolostream.pipeline.filters import class_ids
from yolostream.server import embedded
from yolostream.sources import find_sources

from loadtest.server import served

Cli = Callable[..., Finished]
LABELS = ("traffic light, red", "traffic light", "red", "2", "2")


@pytest.fixture(scope="module")
def instant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.EmbeddedTriton]:
    copy = tmp_path_factory.mktemp("models") / "copy"
    shutil.copytree(REPOSITORY, copy)
    (copy / MODEL / "labels.txt").write_text("\n".join(LABELS) + "\n")
    with serve_instant(repository=copy) as server:
        yield server


@pytest.fixture
def detect(
    instant: embedded.EmbeddedTriton, yolostream_cli: Cli, tmp_path: Path
) -> Callable[..., Finished]:
    """Runs `detect` in a temporary folder, with results in `out`."""

    def run(*arguments: object, **options: object) -> Finished:
        return yolostream_cli(
            *("detect", *arguments, "--url", instant.url, "--model", MODEL),
            **{"cwd": tmp_path, **options},
        )

    return run


def frames_in(path: Path) -> list[int]:
    return [record["frame"] for record in lines(path)]


# Pipes


@pytest.mark.parametrize("spec", ["-", "/dev/stdin"])
@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".mp4"])
def test_standard_input_is_read_to_its_end(
    tmp_path: Path, detect: Cli, spec: str, suffix: str
) -> None:
    # Breakthrough/PySceneDetect#189, dusty-nv/jetson-inference#1086: it was not supported.
    path = write_clip(tmp_path / f"clip{suffix}", steps(12))
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
        finished = detect(spec, "--output", "out", stdin=cat.stdout)
    assert (finished.returncode, errors_of(finished)) == (0, [])
    assert frames_in(tmp_path / "out" / "stdin.jsonl") == list(range(12))
    assert len(play(tmp_path / "out" / "stdin.mp4")) == 12


def test_standard_input_may_be_a_file(tmp_path: Path, detect: Cli) -> None:
    with write_clip(tmp_path / "clip.mp4", steps(5)).open("rb") as file:
        finished = detect("-", "--output", "out", stdin=file)
    assert (finished.returncode, errors_of(finished)) == (0, [])
    assert frames_in(tmp_path / "out" / "stdin.jsonl") == list(range(5))


def test_several_workers_read_pipes_of_every_kind(tmp_path: Path, detect: Cli) -> None:
    clip = write_clip(tmp_path / "clip.ts", steps(9))
    fifo = tmp_path / "named.ts"
    os.mkfifo(fifo)
    reading, writing = os.pipe()
    # A shell replaces `<(command)` by `/dev/fd/N`.
    writers = [
        threading.Thread(target=fifo.write_bytes, args=(clip.read_bytes(),)),
        threading.Thread(target=fill, args=(writing, clip.read_bytes())),
    ]
    for writer in writers:
        writer.start()
    with subprocess.Popen(["cat", clip], stdout=subprocess.PIPE) as cat:
        finished = detect(
            *("-", fifo, f"/dev/fd/{reading}", clip, "--workers", 2, "--output", "out"),
            stdin=cat.stdout,
            pass_fds=[reading],
        )
    os.close(reading)
    for writer in writers:
        writer.join(DEADLINE_S)
    assert (finished.returncode, errors_of(finished)) == (0, [])
    for name in ("stdin", "named", str(reading), "clip"):
        assert frames_in(tmp_path / "out" / f"{name}.jsonl") == list(range(9))


def fill(descriptor: int, data: bytes) -> None:
    with open(descriptor, "wb") as pipe:
        pipe.write(data)


def test_a_pipe_may_pause_longer_than_the_timeout_of_a_camera(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.ts", steps(12)).read_bytes()
    fifo = tmp_path / "slow.ts"
    os.mkfifo(fifo)

    def write() -> None:
        with fifo.open("wb", buffering=0) as pipe:
            pipe.write(clip[: len(clip) // 2])
            # With a camera, FFmpeg would stop after `CONNECT_TIMEOUT_S`.
            threading.Event().wait(11)
            pipe.write(clip[len(clip) // 2 :])

    writer = threading.Thread(target=write)
    writer.start()
    (source,), _ = find_sources([str(fifo)])
    assert [number_of(frame.image) for frame in frames_of(source)] == list(range(12))
    writer.join()


@pytest.mark.parametrize("workers", [1, 2])
def test_reading_a_pipe_without_a_writer_can_be_interrupted(
    tmp_path: Path, instant: embedded.EmbeddedTriton, workers: int
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", steps(3))
    fifo = tmp_path / "silent.ts"
    os.mkfifo(fifo)
    out = tmp_path / "out"
    arguments = ("--url", instant.url, "--model", MODEL, "--workers", workers, "--output", out)
    # Opened for reading and writing, because otherwise `open` waits for a writer.
    with (
        fifo.open("r+b", buffering=0),
        started(tmp_path, "detect", fifo, clip, *arguments) as process,
    ):
        poll(lambda: has_lines(out / "clip.jsonl", 3), what="the other source")
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == EXIT_INTERRUPTED
    assert "interrupted" in log


def test_a_limit_ends_a_pipe_that_stays_open(tmp_path: Path, detect: Cli) -> None:
    reading, writing = os.pipe()
    os.write(writing, write_clip(tmp_path / "clip.ts", steps(4) * 10).read_bytes())
    finished = detect("-", "--limit", 3, "--output", "out", stdin=reading)
    os.close(reading)
    os.close(writing)
    assert (finished.returncode, errors_of(finished)) == (0, [])
    assert frames_in(tmp_path / "out" / "stdin.jsonl") == [0, 1, 2]


@pytest.mark.parametrize("content", [b"", b"no video\n" * 50])
def test_a_pipe_without_a_video_is_named(tmp_path: Path, detect: Cli, content: bytes) -> None:
    finished = detect("-", "--output", "out", stdin=filled(content))
    check(finished, SourceError.exit_code, "cannot read standard input", "MPEG-TS")
    assert "/proc" not in finished.stderr


def test_an_mp4_with_its_index_at_the_end_is_refused_in_a_pipe_with_the_fix(
    tmp_path: Path, detect: Cli
) -> None:
    # The files are larger than FFmpeg's buffer for pipes.
    first = write_clip(tmp_path / "first.mp4", [noise(seed) for seed in range(20)])
    last = tmp_path / "last.mp4"
    with av.open(str(first)) as source, av.open(str(last), "w") as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copy
                target.mux(packet)
    with subprocess.Popen(["cat", last], stdout=subprocess.PIPE) as cat:
        finished = detect("-", "--output", "out", stdin=cat.stdout)
    check(finished, SourceError.exit_code, "standard input gives no frame", "+faststart")
    with subprocess.Popen(["cat", first], stdout=subprocess.PIPE) as cat:
        detect("-", "--output", "out", stdin=cat.stdout)
    assert frames_in(tmp_path / "out" / "stdin.jsonl") == list(range(20))


def filled(content: bytes) -> int:
    """The reading end of a pipe with this content, whose writing end is closed."""
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    return reading


def test_an_empty_standard_input_is_refused_with_the_fix(detect: Cli) -> None:
    finished = detect("-", stdin=subprocess.DEVNULL)
    check(
        finished, SourceError.exit_code, "standard input is neither a pipe", "yolostream detect -"
    )


def test_a_pipe_that_is_given_twice_is_refused(tmp_path: Path, detect: Cli) -> None:
    path = write_clip(tmp_path / "clip.ts", steps(3))
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
        finished = detect("-", "/dev/stdin", "--output", "out", stdin=cat.stdout)
    check(finished, SourceError.exit_code, "/dev/stdin is given twice")
    assert frames_in(tmp_path / "out" / "stdin.jsonl") == [0, 1, 2]


# Names of files


def test_outputs_may_have_colons_in_their_names_and_folders(tmp_path: Path, detect: Cli) -> None:
    write_clip(tmp_path / "plain.mp4", steps(4)).rename(tmp_path / "2024-05-01T12:30:00.mp4")
    (tmp_path / "in").mkdir()
    (tmp_path / "2024-05-01T12:30:00.mp4").rename(tmp_path / "in" / "2024-05-01T12:30:00.mp4")
    for folder in (".", "run: 1"):
        finished = detect("in/2024-05-01T12:30:00.mp4", "--output", folder)
        assert (finished.returncode, errors_of(finished)) == (0, [])
        assert len(play(tmp_path / folder / "2024-05-01T12:30:00.mp4")) == 4


def test_outputs_with_long_names_are_complete(tmp_path: Path, detect: Cli) -> None:
    stems = ["a" * 251, "a" * 250 + "b", "\u00e9" * 125 + "x"]
    plain = write_clip(tmp_path / "plain.mp4", steps(3)).read_bytes()
    for stem in stems:
        (tmp_path / f"{stem}.mp4").write_bytes(plain)
    names = [f"{stem}.mp4" for stem in stems]
    finished = detect(*names, "--output", "out")
    assert (finished.returncode, errors_of(finished)) == (0, [])
    made = sorted((tmp_path / "out").iterdir())
    assert len(made) == 4 * 3 + 1
    assert max(len(os.fsencode(path.name)) for path in made) <= 255
    for path in made:
        if path.suffix == ".jsonl":
            assert [record["source"] for record in lines(path)] == [path.stem] * 3
        if path.suffix == ".mp4" and path.stem != "tiled":
            assert len(play(path)) == 3


def test_pictures_with_the_same_long_name_are_all_written(tmp_path: Path, detect: Cli) -> None:
    name = "\u00e9" * 125 + ".png"
    paths = [tmp_path / "pictures" / folder / name for folder in "ab"]
    for level, path in zip((50, 200), paths, strict=True):
        path.parent.mkdir(parents=True)
        _, data = cv2.imencode(".png", gray(level))
        path.write_bytes(data.tobytes())
    finished = detect("pictures/*/*.png", "--output", "out", "--save", "mp4", "--no-track")
    assert (finished.returncode, errors_of(finished)) == (0, [])
    written = sorted((tmp_path / "out" / "a").iterdir())
    assert len(written) == 2
    assert all(path.suffix == ".png" for path in written)


@pytest.mark.parametrize("name", ["clip.mp4.mp4", "clip.MP4.mkv"])
def test_no_output_has_its_suffix_twice(tmp_path: Path, detect: Cli, name: str) -> None:
    write_clip(tmp_path / "plain.mp4", steps(2)).rename(tmp_path / name)
    assert detect(name, "--output", "out").returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("clip.csv", "clip.jsonl", "clip.mp4", "clip.txt"),
    ]


def test_control_characters_in_a_name_are_not_printed(tmp_path: Path, detect: Cli) -> None:
    # schollz/croc#595: a name that moves the cursor hides earlier output.
    name = "\x1b[1A\x1b[2Kx\nerror: y.mp4"
    (tmp_path / name).write_bytes(b"no video")
    finished = detect(name, f"gone{name}")
    assert "\x1b[" not in finished.stderr
    assert [error.count("\\x1b[1A") for error in errors_of(finished)] == [1, 1]


def test_summary_and_rows_have_the_name_of_the_output_files(tmp_path: Path, detect: Cli) -> None:
    write_clip(tmp_path / "plain.mp4", steps(2)).rename(tmp_path / "a\nb.mp4")
    finished = detect("a\nb.mp4", "--output", "out", "--summary", "s.json", "--save", "jsonl")
    assert (finished.returncode, errors_of(finished)) == (0, [])
    (source,) = json.loads((tmp_path / "s.json").read_text())["sources"]
    assert source["name"] == "a\\nb"
    assert frames_in(tmp_path / "out" / "a\\nb.jsonl") == [0, 1]


# Streams


def two_videos(path: Path, *, default: int) -> Path:
    """Write a file with two video streams and an audio stream between them; one is the default."""
    with av.open(str(path), "w") as container:
        sizes = {0: (64, 48), 2: (128, 96)}
        streams = {}
        for index in range(3):
            if index == 1:
                sound = container.add_stream("pcm_s16le", rate=8000)
                sound.disposition = av.stream.Disposition(0)
                continue
            stream = container.add_stream("libx264", rate=Fraction(10))
            stream.width, stream.height = sizes[index]
            stream.pix_fmt = "yuv420p"
            stream.disposition = av.stream.Disposition(1 if index == default else 0)
            streams[index] = stream
        for number in range(4):
            for index, stream in streams.items():
                width, height = sizes[index]
                image = gray(20 + 10 * (number + index), width=width, height=height)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 10)
                container.mux(stream.encode(frame))
        for stream in streams.values():
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("default", "first"), [(0, 0), (2, 2)])
def test_the_default_video_stream_is_read(tmp_path: Path, default: int, first: int) -> None:
    (source,) = opened(two_videos(tmp_path / "clip.mkv", default=default))
    assert [number_of(frame.image) for frame in frames_of(source)] == list(range(first, first + 4))


@pytest.mark.parametrize("index", [0, 2])
def test_any_video_stream_can_be_chosen(tmp_path: Path, detect: Cli, index: int) -> None:
    two_videos(tmp_path / "clip.mkv", default=2)
    finished = detect("clip.mkv", "--stream-index", index, "--output", "out")
    assert (finished.returncode, errors_of(finished)) == (0, [])
    images = [image for _, image in play(tmp_path / "out" / "clip.mp4")]
    assert {image.shape for image in images} == {(96, 128, 3) if index else (48, 64, 3)}


@pytest.mark.parametrize("index", [1, 7])
def test_a_stream_that_is_no_video_is_refused_with_the_video_streams(
    tmp_path: Path, detect: Cli, index: int
) -> None:
    two_videos(tmp_path / "clip.mkv", default=2)
    check(
        detect("clip.mkv", "--stream-index", index, "--output", "out"),
        SourceUnsupported.exit_code,
        f"clip.mkv has no video stream {index}",
        "0 (h264 48x64), 2 (h264 96x128) (sizes are height x width)",
    )


def test_pictures_next_to_a_video_have_no_streams(tmp_path: Path, detect: Cli) -> None:
    two_videos(tmp_path / "clip.mkv", default=2)
    assert cv2.imwrite(str(tmp_path / "a.png"), gray(90))
    finished = detect("clip.mkv", "a.png", "--stream-index", 0, "--output", "out")
    assert (finished.returncode, errors_of(finished)) == (0, [])


def test_the_cover_of_a_video_is_not_read_as_the_video(tmp_path: Path) -> None:
    # Music stores and download tools add a cover, sometimes as the first stream.
    _, cover = cv2.imencode(".jpg", gray(220, width=600, height=600))
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mjpeg", rate=1)
        picture.width = picture.height = 600
        picture.pix_fmt = "yuvj420p"
        picture.disposition = av.stream.Disposition.attached_pic
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        packet = av.Packet(cover.tobytes())
        packet.stream, packet.pts, packet.dts, packet.time_base = picture, 0, 0, Fraction(1)
        container.start_encoding()
        container.mux(packet)
        for image in steps(6):
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
    (source,) = opened(path)
    assert [number_of(frame.image) for frame in frames_of(source)] == list(range(6))


def test_srt_is_refused_at_once_with_an_alternative(detect: Cli) -> None:
    finished = detect("SRT://user:secret@127.0.0.1:9", "--output", "out")
    check(finished, SourceUnsupported.exit_code, "built without srt", "| yolostream detect -")
    assert "secret" not in finished.stderr


# Model repositories


@pytest.mark.parametrize("name", ["my models", "models (1)", "mod\u00e8les", "a'b"])
def test_a_repository_path_that_triton_cannot_use_is_refused_at_once(
    tmp_path: Path, name: str
) -> None:
    # Triton itself would wait for two minutes, and only print "stol".
    shutil.copytree(REPOSITORY, tmp_path / name)
    (tmp_path / "link").symlink_to(name)
    for folder in (tmp_path / name, tmp_path / "link"):
        with (
            pytest.raises(
                ServerStartError, match=r"cannot start Python models from .*: move the repository"
            ),
            serve_instant(repository=folder),
        ):
            pass


# Addresses of servers


@pytest.mark.parametrize("scheme", ["http://", "grpc://", "HTTP://", "GRPC://"])
def test_a_server_is_reached_with_any_scheme(instant: embedded.EmbeddedTriton, scheme: str) -> None:
    for url in (f"{scheme}{instant.url}", f"{scheme}{instant.url}/"):
        with Detector(url, MODEL) as detector:
            assert len(detector.labels) == len(LABELS)
            assert detector.transport == "shared-memory"


def test_detect_and_load_tests_accept_an_address_with_a_scheme(
    tmp_path: Path, instant: embedded.EmbeddedTriton, yolostream_cli: Cli
) -> None:
    url = f"http://{instant.url}"
    clip = write_clip(tmp_path / "clip.mp4", steps(2))
    finished = yolostream_cli(
        *("detect", clip, "--url", url, "--model", MODEL, "--output", tmp_path / "out")
    )
    assert (finished.returncode, errors_of(finished)) == (0, [])
    with served(url, model=MODEL) as target:
        assert target.pids


def test_https_is_grpc_with_tls(instant: embedded.EmbeddedTriton, yolostream_cli: Cli) -> None:
    finished = yolostream_cli("detect", "videos", "--url", f"https://{instant.url}")
    assert f"no Triton answers at https://{instant.url}" in finished.stderr


# Classes


def test_a_name_of_several_classes_selects_all_of_them() -> None:
    assert class_ids("2, traffic light, red", LABELS) == {0, 3, 4}


def test_detect_accepts_a_class_name_with_a_comma(tmp_path: Path, detect: Cli) -> None:
    write_clip(tmp_path / "clip.mp4", steps(2))
    found = {}
    for words in ("traffic light, red", "traffic light"):
        finished = detect("clip.mp4", "--classes", words, "--output", words)
        assert (finished.returncode, errors_of(finished)) == (0, [])
        records = lines(tmp_path / words / "clip.jsonl")
        found[words] = {one["class"] for record in records for one in record["detections"]}
    assert found["traffic light, red"] <= {"traffic light, red"}
    assert found["traffic light"] <= {"traffic light"}
