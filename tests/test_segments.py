"""Segments of MP4 files, on real disks and with a simulated clock for long times."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from clips import MILLISECOND, boxes, gray, noise, number_of, play
from fake_clock import FakeClock
from small_disk import small_disk
from yolostream.detections import Detections
from yolostream.errors import OutputError
from yolostream.frame import Frame
from yolostream.outputs.parts import DAY_S, Parts, Retention
from yolostream.outputs.recovering import RecoveringOutput
from yolostream.outputs.segments import SegmentedMp4, Segments
from yolostream.sources.naming import NAME_BYTES

RATE = 10
NOTHING = Detections(
    boxes=np.zeros((0, 4), np.float32),
    scores=np.zeros(0, np.float32),
    class_ids=np.zeros(0, np.int64),
    labels=("person",),
)
ANY_ROOM = {"min_free_bytes": 0, "min_free_percent": 0}
LEVELS = 20
NOISE = [noise(n) for n in range(4)]


class Camera:
    """Writes pictures at 10 frames/s that encode their number modulo 20."""

    def __init__(self, folder: Path, segments: Segments, *, name: str = "street") -> None:
        self.folder, self.turned = folder, FakeClock()
        self.number = 0
        self.make = partial(self._output, segments, name)
        self.output = self.make()

    def _output(self, segments: Segments, name: str) -> SegmentedMp4:
        clock = self.turned.clock
        parts = Parts(self.folder, name, ".mp4", clock=clock)
        return SegmentedMp4(parts, segments, frame_rate=RATE, clock=clock)

    def show(self, image: np.ndarray, *, every_s: float = 1 / RATE) -> None:
        pts = 5000 + round(1000 * self.turned.steady)
        self.output.write(Frame(image, self.number, pts, MILLISECOND), image, NOTHING)
        self.number += 1
        self.turned.wait(every_s)

    def write(self, count: int) -> None:
        for _ in range(count):
            self.show(gray(20 + 10 * (self.number % LEVELS)))

    def write_noise(self, count: int) -> None:
        for _ in range(count):
            self.show(NOISE[self.number % len(NOISE)])

    def restart(self) -> None:
        self.output.close()
        self.output = self.make()

    def endure(self) -> RecoveringOutput:
        self.output.close()
        self.output = RecoveringOutput(
            self.make, name="street", kind="segments", draws=True, clock=self.turned.clock
        )
        return self.output

    @property
    def paths(self) -> list[Path]:
        return sorted(self.folder.glob("*.mp4"))


@pytest.fixture
def new_camera(tmp_path):
    """Makes cameras, and closes their outputs at the end."""
    made = []

    def new(segments, folder=tmp_path, **options):
        made.append(Camera(folder, segments, **options))
        return made[-1]

    yield new
    for camera in made:
        camera.output.close()


def numbers(path: Path) -> list[int]:
    return [number_of(image) for _, image in play(path)]


def test_each_segment_plays_and_no_frame_is_lost_between_two(new_camera):
    camera = new_camera(Segments(length_s=2, **ANY_ROOM))
    camera.write(70)
    camera.output.close()
    assert [path.name for path in camera.paths] == [
        f"street.20261128T02450{second}Z.mp4" for second in (0, 2, 4, 6)
    ]
    shown = [number for path in camera.paths for number in numbers(path)]
    assert shown == [number % LEVELS for number in range(70)]
    for path in camera.paths:
        times = [time for time, _ in play(path)]
        assert times == pytest.approx([n / RATE for n in range(len(times))])
        # The index is in front, so that browsers can seek at once, and there are no fragments.
        assert boxes(path).index("moov") < boxes(path).index("mdat")
        assert "moof" not in boxes(path)
    assert len(list(camera.folder.iterdir())) == 4


def test_a_segment_plays_while_it_is_written(new_camera):
    camera = new_camera(Segments(length_s=600, **ANY_ROOM))
    for _ in range(5):
        camera.write(20)
        shown = numbers(*camera.paths)
        assert len(shown) >= camera.number - 12
        assert shown == [number % LEVELS for number in range(len(shown))]


def test_a_picture_of_another_size_begins_a_new_segment(new_camera):
    camera = new_camera(Segments(**ANY_ROOM))
    for width in (64, 64, 128, 128, 128, 64):
        camera.show(gray(50, width=width), every_s=1)
    camera.output.close()
    found = [[image.shape[1] for _, image in play(path)] for path in camera.paths]
    assert found == [[64, 64], [128, 128, 128], [64]]


def test_old_segments_are_removed_by_age(new_camera):
    camera = new_camera(Segments(length_s=2, keep=Retention(age_s=5), **ANY_ROOM))
    camera.write(90)
    assert [path.name[-8:-5] for path in camera.paths] == ["504", "506", "508"]


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", 6000) as folder:
        yield folder


def test_the_oldest_segments_are_removed_for_free_space(disk, new_camera):
    (disk / "street.mp4").write_bytes(bytes(500_000))
    (disk / "another").mkdir()
    (disk / "another" / "street.20200101T000000Z.mp4").write_bytes(bytes(500_000))
    floor = 2_000_000
    camera = new_camera(Segments(length_s=5, min_free_bytes=floor, min_free_percent=0), disk)
    began = []
    for _ in range(60):
        camera.write_noise(10)
        began += [path.name for path in camera.paths if path.name != "street.mp4"]
        free = os.statvfs(disk).f_bavail * 4096
        # Below the floor are the data since the last check, and a copy that is being made.
        assert free > floor / 3
    camera.output.close()
    stayed = [path.name for path in camera.paths if path.name != "street.mp4"]
    assert 2 <= len(stayed) < 8
    # The newest segments, without a gap.
    assert stayed == sorted(set(began))[-len(stayed) :]
    assert all(len(play(disk / name)) == 50 for name in stayed)
    assert (disk / "street.mp4").stat().st_size == 500_000
    assert (disk / "another" / "street.20200101T000000Z.mp4").stat().st_size == 500_000


def test_segments_are_removed_while_another_one_is_written(disk, new_camera):
    camera = new_camera(Segments(length_s=60, min_free_bytes=1_000_000, min_free_percent=0), disk)
    for _ in range(2):
        camera.write_noise(30)
        camera.turned.wait(60)
    camera.write_noise(1)
    assert len(camera.paths) == 3
    (disk / "another").write_bytes(bytes(os.statvfs(disk).f_bavail * 4096 - 500_000))
    camera.turned.wait(9)
    camera.write_noise(1)
    assert len(camera.paths) == 3
    camera.turned.wait(0.9)
    camera.write_noise(1)
    assert len(camera.paths) < 3


def test_missing_space_is_logged_once_and_writing_continues_later(disk, new_camera, caplog):
    caplog.set_level(logging.WARNING)
    camera = new_camera(Segments(length_s=5, min_free_bytes=3_000_000, min_free_percent=0), disk)
    output = camera.endure()
    (disk / "other file").write_bytes(bytes(4_000_000))
    camera.write_noise(1000)
    assert "less than 0.003 GB of the disk is free" in output.trouble
    assert output.lost == 1000
    assert camera.paths == []
    (disk / "other file").unlink()
    camera.write_noise(300 + 350)
    assert output.trouble == ""
    assert len(camera.paths) >= 2
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_a_full_disk_costs_only_the_frames_until_space_is_free(disk, new_camera, caplog):
    caplog.set_level(logging.WARNING)
    camera = new_camera(Segments(length_s=5, keep=Retention(parts=2), **ANY_ROOM), disk)
    output = camera.endure()
    filler = disk / "other file"
    filler.write_bytes(bytes(4_500_000))
    camera.write_noise(1000)
    assert "No space left" in output.trouble
    before = len(camera.paths)
    assert before < 8
    filler.unlink()
    camera.write_noise(300 + 350)
    assert output.trouble == ""
    camera.output.close()
    played = [len(play(path)) for path in camera.paths]
    assert len(played) > before
    assert min(played) > 0
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "No space left" in caplog.records[0].message


def test_a_file_at_the_path_of_the_folder_is_logged_once(new_camera, tmp_path, caplog):
    camera = new_camera(Segments(**ANY_ROOM), tmp_path / "street")
    output = camera.endure()
    (tmp_path / "street").rmdir()
    (tmp_path / "street").write_text("")
    camera.write(700)
    assert (output.lost, len(caplog.records)) == (700, 1)


def test_the_partial_copy_of_a_killed_process_is_removed(new_camera):
    camera = new_camera(Segments(**ANY_ROOM))
    left = camera.folder / ".street.20261128T024400Z.mp4.finishing"
    others = [camera.folder / f".{name}.finishing" for name in ("street.mp4", "streets", "")]
    for path in [left, *others]:
        path.write_bytes(b"half")
    camera.restart()
    assert not left.exists()
    assert all(path.exists() for path in others)


@pytest.mark.parametrize("name", ["s" * 200, "é" * 115, "%03d [a*]"])
def test_any_name_of_a_camera_works(new_camera, name):
    assert len(name.encode()) <= NAME_BYTES
    camera = new_camera(Segments(length_s=1, keep=Retention(parts=2), **ANY_ROOM), name=name)
    camera.write(45)
    camera.restart()
    camera.write(5)
    assert len(camera.paths) == 3
    camera.output.close()
    assert all(numbers(path) for path in camera.paths)
    assert all("moof" not in boxes(path) for path in camera.paths)


def test_a_clock_that_is_set_back_overwrites_nothing(new_camera):
    camera = new_camera(Segments(length_s=1, **ANY_ROOM))
    for _ in range(3):
        camera.write(20)
        camera.turned.wall -= 2
    camera.output.close()
    assert len(camera.paths) == 6
    found = sorted(numbers(path)[0] for path in camera.paths)
    assert found == [0, 0, 0, 10, 10, 10]


def test_days_leave_a_limited_number_of_files_descriptors_and_threads(new_camera):
    segments = Segments(length_s=600, keep=Retention(parts=30, age_s=DAY_S), **ANY_ROOM)
    camera = new_camera(segments)
    camera.show(gray(100))
    descriptors, threads, files = set(), set(), set()
    for number in range(3 * 24 * 6 * 2):
        # Two pictures per segment; the camera changes its size from time to time.
        width = 64 if number % 100 < 90 else 32
        camera.show(gray(100, width=width), every_s=300.1)
        descriptors.add(len(os.listdir("/proc/self/fd")))
        threads.add(threading.active_count())
        files.add(len(list(camera.folder.iterdir())))
    # A copy may be in progress, which has one file open to read and one to write.
    assert max(descriptors) - min(descriptors) <= 3
    assert max(threads) - min(threads) <= 1
    assert max(files) <= 30 + 1 + 1
    assert len(files) > 20


def test_a_disk_that_is_read_only_is_an_error(disk, new_camera):
    camera = new_camera(Segments(**ANY_ROOM), disk / "street")
    camera.write(5)
    camera.restart()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(OutputError, match="Read-only file system"):
        camera.write(20)
