from __future__ import annotations

import contextlib
import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import (
    MILLISECOND,
    Image,
    boxes,
    frames_of,
    full_disk,
    gray,
    noise,
    number_of,
    opened,
    play,
    steps,
    write_clip,
)
from trackers import load_mot_file
from yolostream.detections import Detections
from yolostream.errors import OutputError
from yolostream.frame import Frame
from yolostream.outputs.csv import COLUMNS, Csv
from yolostream.outputs.jsonl import JsonLines
from yolostream.outputs.lines import LineFile
from yolostream.outputs.mot import Mot
from yolostream.outputs.mp4 import Mp4
from yolostream.outputs.output import Output
from yolostream.outputs.pictures import AnnotatedPictures
from yolostream.outputs.planes import fitted
from yolostream.outputs.video import KEYFRAME_INTERVAL_S, LOOKAHEAD, VideoFile
from yolostream.server.embedded import EmbeddedTriton
from yolostream.sources import Source

NOTHING = Detections(
    boxes=np.zeros((0, 4), np.float32),
    scores=np.zeros(0, np.float32),
    class_ids=np.zeros(0, np.int64),
    labels=("person", "bicycle", "car"),
)
TWO_CARS = Detections(
    boxes=np.array([[1.25, 2.5, 11.254, 22.5], [0, 0, 64, 48]], np.float32),
    scores=np.array([0.91234, 0.5], np.float32),
    class_ids=np.array([2, 1]),
    labels=NOTHING.labels,
    track_ids=np.array([7, -1]),
)


def frame(number: int, image: Image | None = None, *, name: str = "") -> Frame:
    picture = gray(0) if image is None else image
    return Frame(picture, number, 5000 + 40 * number, MILLISECOND, name)


def write_all(output: Output, *found: Detections) -> None:
    for number, detections in enumerate(found):
        output.write(frame(number), gray(0), detections)
    output.close()


def annotated(path: Path, source: Source) -> Path:
    """Write every frame of `source` as `detect` does."""
    with contextlib.closing(source.open()) as session:
        output = Mp4(path, frame_rate=session.frame_rate)
        for read in session:
            output.write(read, read.image, NOTHING)
    output.close()
    return path


def copy_of(clip: Path) -> Path:
    return annotated(clip.with_name("annotated.mp4"), *opened(str(clip)))


def read_jsonl(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def csv_row(record: dict, item: dict) -> dict[str, str]:
    """The CSV row of one object in the JSON Lines."""
    return {
        **{key: str(record[key]) for key in ("source", "frame", "pts_seconds")},
        **{key: str(item[key]) for key in ("class_id", "class", "confidence")},
        **dict(zip(("x1", "y1", "x2", "y2"), map(str, item["box"]), strict=True)),
        "track_id": "" if item["track_id"] is None else str(item["track_id"]),
    }


@pytest.mark.parametrize("kind", [AnnotatedPictures, Csv, JsonLines, Mot, Mp4])
def test_an_output_declares_whether_it_uses_the_annotated_picture(
    tmp_path: Path, kind: type
) -> None:
    options = {Csv: {"source": "a"}, JsonLines: {"source": "a"}, Mp4: {"frame_rate": Fraction(10)}}
    for shade in (0, 255):
        output = kind(tmp_path / f"{shade}", **options.get(kind, {}))
        output.write(frame(0, name="a.png"), gray(shade), TWO_CARS)
        output.close()
    dark, bright = (
        path / "a.png" if kind is AnnotatedPictures else path
        for path in (tmp_path / "0", tmp_path / "255")
    )
    assert (dark.read_bytes() != bright.read_bytes()) == kind.draws


# MP4


def test_an_mp4_has_the_format_that_every_browser_plays(tmp_path: Path) -> None:
    path = copy_of(write_clip(tmp_path / "clip.mp4", steps(12)))
    with av.open(str(path)) as container:
        (stream,) = container.streams
        assert "mp4" in container.format.name
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert (stream.frames, stream.average_rate) == (12, 10)
        assert (stream.width, stream.height) == (64, 48)
    # The index is in front, and there are no fragments, in which not every player can seek.
    found = boxes(path)
    assert found[0] == "ftyp"
    assert found.index("moov") < found.index("mdat")
    assert "moof" not in found
    played = play(path)
    assert [number_of(image) for _, image in played] == list(range(12))
    assert [time for time, _ in played] == pytest.approx([n / 10 for n in range(12)])
    # The copy has left no temporary files.
    assert sorted(p.name for p in tmp_path.iterdir()) == ["annotated.mp4", "clip.mp4"]


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(25), Fraction(1, 2)])
def test_an_mp4_keeps_the_frame_rate(tmp_path: Path, rate: Fraction) -> None:
    path = copy_of(write_clip(tmp_path / "clip.mp4", steps(6), rate=rate))
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == rate
    assert [time for time, _ in play(path)] == pytest.approx([n / rate for n in range(6)])


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_an_mp4_keeps_variable_times_from_the_first_frame_on(tmp_path: Path, suffix: str) -> None:
    times = [5000, 5040, 5100, 5500, 5533, 5900]
    clip = write_clip(tmp_path / f"clip{suffix}", steps(6), pts=times, time_base=MILLISECOND)
    played = play(copy_of(clip))
    assert [round(1000 * time) for time, _ in played] == [time - 5000 for time in times]
    assert [number_of(image) for _, image in played] == list(range(6))


def test_an_mp4_continues_after_an_outage_of_hours(tmp_path: Path) -> None:
    file = VideoFile(
        tmp_path / "clip.mp4",
        height=48,
        width=64,
        frame_rate=Fraction(30),
        time_base=Fraction(1, 90_000),
        bitrate=2_000_000,
    )
    away = 10 * 3600 * 90_000
    for number, begin in enumerate([0, 0, 0, away, away, 3 * away, 3 * away]):
        file.write(gray(20), begin + 3000 * number)
    file.close()
    distances = np.diff([time for time, _ in play(tmp_path / "clip.mp4")])
    assert len(distances) == 6
    long = distances[[2, 4]]
    assert (long > 6.5 * 3600).all()
    assert (long <= 10 * 3600 + 1).all()
    assert np.delete(distances, [2, 4]).tolist() == pytest.approx([1 / 30] * 4)


@pytest.mark.parametrize(
    ("size", "even"),
    [
        ((1, 1), (2, 2)),
        ((33, 47), (34, 48)),
        ((36, 64), (36, 64)),
        ((640, 15), (640, 16)),
        ((64, 48), (64, 48)),
    ],
)
def test_an_mp4_of_any_size_has_even_sides(
    tmp_path: Path, size: tuple[int, int], even: tuple[int, int]
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", steps(3, width=size[0], height=size[1]))
    played = play(copy_of(clip))
    assert [image.shape[1::-1] for _, image in played] == [even] * 3
    # The edge is repeated; a black line would lower the mean.
    assert [number_of(image) for _, image in played] == [0, 1, 2]


# PyAV wraps memory only for heights that are multiples of four: 270 rows became 268, with the
# colors of other rows. With ten sources, the cells of the tiled video have this height.
@pytest.mark.parametrize("height", [6, 34, 88, 90, 270, 810])
@pytest.mark.parametrize("width", [2, 64])
def test_an_mp4_of_any_height_has_the_right_colors(tmp_path: Path, height: int, width: int) -> None:
    picture = np.full((height, width, 3), (200, 30, 30), np.uint8)
    picture[height // 4 * 2 :] = (30, 30, 200)
    output = Mp4(tmp_path / "out.mp4", frame_rate=Fraction(10))
    output.write(frame(0, picture), picture, NOTHING)
    output.close()
    ((_, shown),) = play(tmp_path / "out.mp4")
    assert shown.shape == picture.shape
    assert np.abs(shown.astype(int) - picture).mean() < 12


def test_an_mp4_of_one_frame_plays(tmp_path: Path) -> None:
    path = copy_of(write_clip(tmp_path / "clip.mp4", steps(1)))
    ((time, image),) = play(path)
    assert (time, number_of(image)) == (0, 0)
    assert boxes(path).index("moov") < boxes(path).index("mdat")
    with av.open(str(path)) as container:
        # Players would skip a video with a duration of zero.
        assert container.duration > 0


def test_an_mp4_of_a_panorama_has_the_largest_size_of_the_encoder(tmp_path: Path) -> None:
    # Such as two hemispheres, or several cameras side by side. x264 refuses more than 16384 pixels.
    panorama = gray(90, width=20000, height=100)
    output = Mp4(tmp_path / "out.mp4", frame_rate=Fraction(10))
    output.write(frame(0, panorama), panorama, NOTHING)
    output.close()
    ((_, image),) = play(tmp_path / "out.mp4")
    assert image.shape == (82, 16384, 3)


def test_later_sizes_are_fitted_into_the_first_size_of_an_mp4(tmp_path: Path) -> None:
    output = Mp4(tmp_path / "out.mp4", frame_rate=Fraction(10))
    shapes = [(48, 64), (96, 128), (48, 20), (9, 64)]
    for number, (height, width) in enumerate(shapes):
        image = gray(200, width=width, height=height)
        output.write(frame(number, image), image, NOTHING)
    output.close()
    played = [image for _, image in play(tmp_path / "out.mp4")]
    assert [image.shape for image in played] == [(48, 64, 3)] * 4
    assert [round(float(image.mean()), -1) for image in played[:2]] == [200, 200]
    # The picture keeps its aspect ratio, is centered, and has black borders.
    assert played[2][:, 24:40].min() > 190
    assert played[2][:, :18].max() < 10
    assert played[3][22:26].min() > 190
    assert played[3][:16].max() < 10


def test_an_mp4_has_the_given_bitrate(tmp_path: Path) -> None:
    for bitrate in (200_000, 2_000_000):
        path = tmp_path / f"{bitrate}.mp4"
        output = Mp4(path, frame_rate=Fraction(10), bitrate=bitrate)
        for number in range(50):
            image = noise(number, width=160, height=120)
            output.write(Frame(image, number, number, Fraction(1, 10)), image, NOTHING)
        output.close()
        assert 0.5 < path.stat().st_size * 8 / 5 / bitrate < 1.5


def growing(path: Path, frames: int) -> VideoFile:
    """Begin a file with noise at 5 frames/s, which is not closed."""
    file = VideoFile(
        path,
        height=120,
        width=160,
        frame_rate=Fraction(5),
        time_base=Fraction(1, 5),
        bitrate=1_000_000,
    )
    write_noise(file, range(frames))
    return file


def write_noise(file: VideoFile, numbers: Iterable[int]) -> None:
    for number in numbers:
        file.write(noise(number, width=160, height=120), number)


def test_an_mp4_plays_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    interval = 5 * KEYFRAME_INTERVAL_S
    file = growing(path, 3 * interval + 1)
    times = [time for time, _ in play(path)]
    assert len(times) >= 2 * interval
    assert times == pytest.approx([n / 5 for n in range(len(times))])
    file.close()
    assert len(play(path)) == 3 * interval + 1


def test_the_mp4_of_a_killed_process_plays_up_to_the_last_seconds(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    code = (
        "import os, pathlib, sys, test_outputs\n"
        "test_outputs.growing(pathlib.Path(sys.argv[1]), 31)\n"
        "os.kill(os.getpid(), 9)"
    )
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "clients")]
    killed = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {folders}\n{code}", str(path)],
        check=False,
    )
    assert killed.returncode == -9
    assert len(play(path)) >= 20


def test_an_mp4_on_a_full_disk_plays_up_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    file = growing(path, 21 + LOOKAHEAD)
    size = path.stat().st_size
    with full_disk(size + 1000):
        with pytest.raises(OutputError, match=r"cannot write .*out\.mp4 .*free space"):
            write_noise(file, range(21 + LOOKAHEAD, 60))
        file.close()
    assert len(play(path)) >= 19
    assert list(tmp_path.iterdir()) == [path]


def test_an_mp4_that_cannot_be_copied_stays_complete_in_fragments(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    file = growing(path, 35)
    # The copy with the index in front cannot be written, because a folder has its name.
    (tmp_path / ".out.mp4.finishing").mkdir()
    with pytest.raises(OutputError, match=r"out\.mp4"):
        file.close()
    assert len(play(path)) == 35


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_an_mp4_is_complete_with_any_number_of_threads(tmp_path: Path, threads: int) -> None:
    output = Mp4(tmp_path / "out.mp4", frame_rate=Fraction(10), threads=threads)
    for number, image in enumerate(steps(22, width=320, height=180)):
        output.write(Frame(image, number, number, Fraction(1, 10)), image, NOTHING)
    output.close()
    played = play(tmp_path / "out.mp4")
    assert [number_of(image) for _, image in played] == list(range(22))
    assert [time for time, _ in played] == pytest.approx([n / 10 for n in range(22)])
    assert boxes(tmp_path / "out.mp4").index("moov") < boxes(tmp_path / "out.mp4").index("mdat")


@pytest.mark.parametrize("size", [(360, 640), (270, 480), (216, 384), (54, 96), (7, 12)])
def test_a_downscaled_picture_is_the_mean_of_the_larger_one(size: tuple[int, int]) -> None:
    height, width = size
    rows, columns = np.mgrid[:1080, :1920]
    # Gradients, and stripes of single pixels, which must become gray.
    image = np.stack([rows * 255 // 1079, columns * 255 // 1919, columns % 2 * 255], axis=2)
    small = fitted(image.astype(np.uint8), height, width)
    assert small.shape == (height, width, 3)
    expected = cv2.resize(image.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    assert np.abs(small[..., :2] - expected[..., :2]).max() < 12
    assert np.abs(small[..., 2].astype(float) - 127.5).max() < 12


def test_a_fitted_picture_has_black_borders() -> None:
    wide = fitted(gray(200, width=64, height=16), 48, 64)
    assert (wide[16:32] == 200).all()
    assert not wide[:16].any()
    assert not wide[32:].any()
    tall = fitted(gray(200, width=1, height=1000), 48, 64)
    assert tall.shape == (48, 64, 3)
    assert (tall[:, 31:32] == 200).all()
    assert np.count_nonzero(tall) == 48 * 3


def test_an_mp4_without_frames_leaves_no_file(tmp_path: Path) -> None:
    Mp4(tmp_path / "out.mp4", frame_rate=Fraction(10)).close()
    assert not (tmp_path / "out.mp4").exists()


# JSON Lines, CSV, MOT


def test_jsonl_has_the_documented_schema(tmp_path: Path) -> None:
    write_all(JsonLines(tmp_path / "a.jsonl", source="mb1, é"), TWO_CARS, NOTHING)
    first, second = map(json.loads, (tmp_path / "a.jsonl").read_text("utf-8").splitlines())
    assert first == {
        "source": "mb1, é",
        "frame": 0,
        "pts_seconds": 5.0,
        "width": 64,
        "height": 48,
        "detections": [
            {
                "class_id": 2,
                "class": "car",
                "confidence": 0.9123,
                "box": [1.25, 2.5, 11.25, 22.5],
                "track_id": 7,
            },
            {
                "class_id": 1,
                "class": "bicycle",
                "confidence": 0.5,
                "box": [0.0, 0.0, 64.0, 48.0],
                "track_id": None,
            },
        ],
    }
    # A frame without objects has a line, too.
    assert (second["frame"], second["pts_seconds"], second["detections"]) == (1, 5.04, [])


def test_jsonl_has_the_time_of_the_source_if_it_differs(tmp_path: Path) -> None:
    output = JsonLines(tmp_path / "a.jsonl", source="street")
    for number, source_time in enumerate([5.0, 3605.0000004, None]):
        output.write(replace(frame(number), source_pts_seconds=source_time), gray(0), NOTHING)
    output.close()
    records = read_jsonl(tmp_path / "a.jsonl")
    assert [record.get("source_pts_seconds") for record in records] == [None, 3605.0, None]


def test_jsonl_has_the_name_of_the_picture(tmp_path: Path) -> None:
    output = JsonLines(tmp_path / "a.jsonl", source="street")
    output.write(frame(0, name="a.png"), gray(0), NOTHING)
    output.close()
    assert json.loads((tmp_path / "a.jsonl").read_text())["file"] == "a.png"


def test_jsonl_supports_names_that_are_not_utf8(tmp_path: Path) -> None:
    output = JsonLines(tmp_path / "a.jsonl", source="b\udcff")
    output.write(frame(0, name="a\udcff.png"), gray(0), NOTHING)
    output.close()
    record = json.loads((tmp_path / "a.jsonl").read_text("utf-8"))
    assert (record["source"], record["file"]) == ("b?", "a?.png")


def test_numbers_are_rounded_as_by_python(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0)
    many = Detections(
        boxes=numbers.uniform(0, 4000, (2000, 4)).astype(np.float32),
        scores=numbers.uniform(0, 1, 2000).astype(np.float32),
        class_ids=np.zeros(2000, np.int64),
        labels=("car",),
    )
    write_all(JsonLines(tmp_path / "a.jsonl", source="a"), many)
    (record,) = read_jsonl(tmp_path / "a.jsonl")
    found = record["detections"]
    assert [item["confidence"] for item in found] == [round(x, 4) for x in many.scores.tolist()]
    assert [item["box"] for item in found] == [
        [round(value, 2) for value in box] for box in many.boxes.tolist()
    ]


def test_documented_schema_names_every_field(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "outputs.md").read_text()
    output = JsonLines(tmp_path / "a.jsonl", source="street")
    output.write(frame(0, name="a.png"), gray(0), TWO_CARS)
    output.close()
    record = json.loads((tmp_path / "a.jsonl").read_text())
    for name in [*record, *record["detections"][0], *COLUMNS]:
        assert f"`{name}`" in page
    (example,) = (line for line in page.splitlines() if line.startswith('{"source"'))
    assert set(record) - {"file"} == set(json.loads(example))
    assert set(record["detections"][0]) == set(json.loads(example)["detections"][0])
    assert ",".join(COLUMNS) in page


def test_csv_rows_are_the_objects_of_the_json_lines(tmp_path: Path) -> None:
    found = (TWO_CARS, NOTHING, TWO_CARS)
    write_all(JsonLines(tmp_path / "a.jsonl", source='say "mb1", é'), *found)
    write_all(Csv(tmp_path / "a.csv", source='say "mb1", é'), *found)
    rows = read_csv(tmp_path / "a.csv")
    assert tuple(rows[0]) == COLUMNS
    expected = [
        csv_row(record, item)
        for record in read_jsonl(tmp_path / "a.jsonl")
        for item in record["detections"]
    ]
    assert len(expected) == 4
    assert rows == expected


def test_a_csv_without_objects_has_only_a_header(tmp_path: Path) -> None:
    write_all(Csv(tmp_path / "a.csv", source="a"), NOTHING)
    assert (tmp_path / "a.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_mot_counts_from_one_and_leaves_out_untracked_objects(tmp_path: Path) -> None:
    write_all(Mot(tmp_path / "a.txt"), NOTHING, TWO_CARS)
    assert (tmp_path / "a.txt").read_text() == "2,7,1.25,2.50,10.00,20.00,0.9123,-1,-1,-1\n"
    read = load_mot_file(tmp_path / "a.txt")
    assert list(read) == [2]
    assert read[2].ids.tolist() == [7]
    assert read[2].boxes.tolist() == [[1.25, 2.5, 10.0, 20.0]]
    assert read[2].confidences.tolist() == [0.9123]


def test_untracked_objects_have_no_track_id(tmp_path: Path) -> None:
    untracked = Detections(
        boxes=TWO_CARS.boxes,
        scores=TWO_CARS.scores,
        class_ids=TWO_CARS.class_ids,
        labels=TWO_CARS.labels,
    )
    write_all(JsonLines(tmp_path / "a.jsonl", source="a"), untracked)
    write_all(Csv(tmp_path / "a.csv", source="a"), untracked)
    write_all(Mot(tmp_path / "a.txt"), untracked)
    record = json.loads((tmp_path / "a.jsonl").read_text())
    assert [item["track_id"] for item in record["detections"]] == [None, None]
    rows = (tmp_path / "a.csv").read_text().splitlines()[1:]
    assert [row[-1] for row in rows] == [",", ","]
    assert (tmp_path / "a.txt").read_text() == ""


def test_lines_are_in_the_file_as_soon_as_they_are_written(tmp_path: Path) -> None:
    output = JsonLines(tmp_path / "a.jsonl", source="a")
    output.write(frame(0), gray(0), TWO_CARS)
    assert json.loads((tmp_path / "a.jsonl").read_text())["frame"] == 0
    output.close()


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".txt"])
def test_text_on_a_full_disk_ends_with_a_complete_frame(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    output: Output = {
        ".jsonl": lambda: JsonLines(path, source="a"),
        ".csv": lambda: Csv(path, source="a"),
        ".txt": lambda: Mot(path),
    }[suffix]()
    done: list[int] = []

    def write_until_full() -> None:
        for number in range(100):
            output.write(frame(number), gray(0), TWO_CARS)
            done.append(number)

    with full_disk(1000), pytest.raises(OutputError, match=rf"cannot write .*a{suffix}"):
        write_until_full()
    output.close()
    lines = path.read_text().splitlines(keepends=True)
    assert len(done) > 2
    assert lines[-1].endswith("\n")
    per_frame, header = {".jsonl": (1, 0), ".csv": (2, 1), ".txt": (1, 0)}[suffix]
    assert len(lines) == header + per_frame * len(done)


def test_lines_continue_when_the_disk_has_space_again(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "a.txt")
    file.write("one\n")
    with full_disk(6), pytest.raises(OutputError):
        file.write("two and three\n")
    file.write("four\n")
    file.close()
    assert (tmp_path / "a.txt").read_text() == "one\nfour\n"


def test_a_folder_at_the_path_of_a_text_output_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*a\.jsonl .*--output"):
        JsonLines(tmp_path / "a.jsonl", source="a")


# Pictures


@pytest.mark.parametrize("name", ["a.png", "b.jpg", "c.JPEG", "d.bmp", "e.tif", "f.webp"])
def test_a_picture_keeps_its_name_format_and_size(tmp_path: Path, name: str) -> None:
    image = gray(0, width=33, height=17)
    image[..., 0] = 200
    output = AnnotatedPictures(tmp_path / "street")
    output.write(frame(0, image, name=name), image, NOTHING)
    output.close()
    read = cv2.imread(str(tmp_path / "street" / name))
    assert read.shape == (17, 33, 3)
    # OpenCV reads pictures as BGR.
    assert np.abs(read.mean(axis=(0, 1)) - [0, 0, 200]).max() < 8


def test_pictures_with_the_same_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    for level, folder in ((50, "a"), (200, "b")):
        (tmp_path / folder).mkdir()
        assert cv2.imwrite(str(tmp_path / folder / "1.png"), gray(level))
    (source,) = opened(str(tmp_path / "*" / "1.png"))
    output = AnnotatedPictures(tmp_path / "out")
    for read in frames_of(source):
        output.write(read, read.image, NOTHING)
    output.close()
    written = [cv2.imread(str(path)) for path in (tmp_path / "out").rglob("*.png")]
    assert sorted(round(float(image.mean())) for image in written) == [50, 200]


def test_a_picture_on_a_full_disk_leaves_no_partial_file(tmp_path: Path) -> None:
    output = AnnotatedPictures(tmp_path / "out")
    image = noise(1, width=64, height=48)
    output.write(frame(0, image, name="a.png"), image, NOTHING)
    with full_disk(2000), pytest.raises(OutputError, match=r"cannot write .*b\.png"):
        output.write(frame(1, image, name="b.png"), image, NOTHING)
    output.close()
    for path in (tmp_path / "out").iterdir():
        assert np.array_equal(cv2.imread(str(path))[..., ::-1], image)


# All outputs together, with the results of a real server


def test_all_outputs_of_a_run_agree(
    tmp_path: Path,
    triton: EmbeddedTriton,
    yolostream_cli: Callable[..., subprocess.CompletedProcess[str]],
    demo_frames: Callable[[str, Iterable[int]], list[Image]],
) -> None:
    street = [
        cv2.resize(image, (640, 360), interpolation=cv2.INTER_AREA)
        for image in demo_frames("mb1_1", range(60, 66))
    ]
    clips = [write_clip(tmp_path / f"{name}.mp4", street, rate=30) for name in ("a", "b")]
    (tmp_path / "street").mkdir()
    for name in ("1.png", "2.jpg"):
        assert cv2.imwrite(str(tmp_path / "street" / name), street[0][..., ::-1])
    out = tmp_path / "out"
    finished = yolostream_cli(
        "detect", *clips, tmp_path / "street", "--url", triton.url, "--output", out
    )
    assert finished.returncode == 0, finished.stderr
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    videos = [f"{name}.{kind}" for name in "ab" for kind in ("csv", "jsonl", "mp4", "txt")]
    pictures = ["street.csv", "street.jsonl", "street/1.png", "street/2.jpg"]
    assert written == sorted([*videos, *pictures, "tiled.mp4"])

    for name in "ab":
        records = read_jsonl(out / f"{name}.jsonl")
        assert [(r["source"], r["frame"], r["width"], r["height"]) for r in records] == [
            (name, n, 640, 360) for n in range(6)
        ]
        objects = [(r, item) for r in records for item in r["detections"]]
        assert objects, "the demo street has no objects, so this test would prove nothing"
        assert_boxes_are_inside(objects)
        assert_scores_fall(records)
        assert read_csv(out / f"{name}.csv") == [csv_row(r, item) for r, item in objects]
        tracks = [(r["frame"] + 1, item["track_id"]) for r, item in objects]
        tracked = [(number, track) for number, track in tracks if track is not None]
        rows = (out / f"{name}.txt").read_text().splitlines()
        assert [tuple(map(int, row.split(",")[:2])) for row in rows] == tracked
        assert len(play(out / f"{name}.mp4")) == 6
    pictured = read_jsonl(out / "street.jsonl")
    assert [record["file"] for record in pictured] == ["1.png", "2.jpg"]
    assert {item["track_id"] for r in pictured for item in r["detections"]} == {None}
    # The boxes are drawn, but only in the copy.
    drawn = cv2.imread(str(out / "street" / "1.png"))
    assert drawn.shape == (360, 640, 3)
    assert (drawn != street[0][..., ::-1]).any()
    assert len(play(out / "tiled.mp4")) == 6


def assert_boxes_are_inside(objects: list[tuple[dict, dict]]) -> None:
    for record, item in objects:
        left, top, right, bottom = item["box"]
        assert 0 <= left <= right <= record["width"]
        assert 0 <= top <= bottom <= record["height"]


def assert_scores_fall(records: list[dict]) -> None:
    for record in records:
        scores = [item["confidence"] for item in record["detections"]]
        assert scores == sorted(scores, reverse=True)
