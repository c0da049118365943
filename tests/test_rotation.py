"""Rotation of text files, with a simulated clock for long times."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import logging
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from clips import MILLISECOND, gray
from fake_clock import FakeClock
from small_disk import small_disk
from yolostream.detections import Detections
from yolostream.errors import OutputError
from yolostream.frame import Frame
from yolostream.outputs.csv import COLUMNS, Csv
from yolostream.outputs.jsonl import JsonLines
from yolostream.outputs.parts import DAY_S, Parts, Retention
from yolostream.outputs.recovering import PAUSE_S, STEADY_S, RecoveringOutput
from yolostream.outputs.rotation import Rotating, Rotation

A_CAR = Detections(
    boxes=np.array([[1, 2, 11, 22]], np.float32),
    scores=np.array([0.9], np.float32),
    class_ids=np.array([2]),
    labels=("person", "bicycle", "car"),
    track_ids=np.array([7]),
)
KINDS = {".jsonl": JsonLines, ".csv": Csv}


class Camera:
    """Writes numbered frames into the parts in one folder."""

    def __init__(
        self, folder: Path, rotation: Rotation, *, suffix: str = ".jsonl", name: str = "street"
    ) -> None:
        self.folder, self.turned = folder, FakeClock()
        self.number = 0
        self._make = partial(self._output, rotation, suffix, name)
        self.output = self._make()

    def _output(self, rotation: Rotation, suffix: str, name: str) -> Rotating:
        clock = self.turned.clock
        parts = Parts(self.folder, name, suffix, clock=clock)
        return Rotating(
            parts, partial(KINDS[suffix], source=name), rotation, kind=suffix, clock=clock
        )

    def write(self, count: int = 1, *, every_s: float = 1.0) -> None:
        for _ in range(count):
            shown = Frame(gray(0), self.number, 40 * self.number, MILLISECOND)
            self.output.write(shown, gray(0), A_CAR)
            self.number += 1
            self.turned.wait(every_s)

    def restart(self) -> None:
        self.output.close()
        self.output = self._make()

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def numbers(self, name: str) -> list[int]:
        """The frames of one part, which must be complete."""
        text = (self.folder / name).read_text()
        assert text.endswith("\n")
        if name.endswith(".csv"):
            header, *rows = csv.reader(text.splitlines())
            assert tuple(header) == COLUMNS
            return [int(row[1]) for row in rows]
        return [json.loads(line)["frame"] for line in text.splitlines()]


@pytest.fixture
def new_camera(tmp_path):
    """Makes cameras, and closes their outputs at the end."""
    made = []

    def new(rotation, folder=tmp_path, **options):
        made.append(Camera(folder, rotation, **options))
        return made[-1]

    yield new
    for camera in made:
        camera.output.close()


def joined(lists):
    return list(itertools.chain.from_iterable(lists))


@pytest.mark.parametrize("suffix", KINDS)
def test_a_new_part_begins_after_the_maximum_age(new_camera, tmp_path, suffix):
    camera = new_camera(Rotation(max_age_s=10), suffix=suffix)
    camera.write(25)
    assert camera.names == [f"street.20261128T0245{second}Z{suffix}" for second in ("00", 10, 20)]
    # The last part, which is being written, is readable, too.
    assert [camera.numbers(name) for name in camera.names] == [
        list(range(10)),
        list(range(10, 20)),
        list(range(20, 25)),
    ]


@pytest.mark.parametrize("suffix", KINDS)
def test_a_new_part_begins_after_the_maximum_size(new_camera, tmp_path, suffix):
    camera = new_camera(Rotation(max_bytes=1000), suffix=suffix)
    camera.write(100)
    found = [camera.numbers(name) for name in camera.names]
    assert joined(found) == list(range(100))
    sizes = [(tmp_path / name).stat().st_size for name in camera.names]
    assert len(sizes) >= 5
    assert all(1000 <= size < 1300 for size in sizes[:-1])


def test_a_part_without_objects_has_only_a_header(tmp_path):
    turned = FakeClock()
    parts = Parts(tmp_path, "street", ".csv", clock=turned.clock)
    output = Rotating(
        parts, partial(Csv, source="street"), Rotation(), kind="csv", clock=turned.clock
    )
    output.write(Frame(gray(0), 0, 0, MILLISECOND), gray(0), A_CAR[:0])
    output.close()
    (path,) = tmp_path.iterdir()
    assert path.read_text() == ",".join(COLUMNS) + "\n"


def test_a_growing_part_can_be_followed(new_camera, tmp_path):
    camera = new_camera(Rotation())
    camera.write()
    with (tmp_path / camera.names[0]).open() as follower:
        for number in range(5):
            assert json.loads(follower.readline())["frame"] == number
            assert follower.readline() == ""
            camera.write()


@pytest.mark.parametrize("take", [Path.unlink, lambda path: path.rename(path.with_suffix(".old"))])
def test_a_part_that_was_removed_or_renamed_is_followed_by_a_new_one(new_camera, tmp_path, take):
    camera = new_camera(Rotation())
    camera.write(3)
    take(tmp_path / camera.names[0])
    camera.write(2)
    assert camera.numbers(camera.names[-1]) == [3, 4]


@pytest.mark.parametrize(
    ("keep", "stay"),
    [
        (Retention(parts=3), 3),
        (Retention(age_s=35), 3),
        (Retention(total_bytes=4000), 2),
        (Retention(parts=0), 0),
    ],
)
def test_old_parts_are_removed(new_camera, tmp_path, keep, stay):
    camera = new_camera(Rotation(max_age_s=10, keep=keep))
    camera.write(101)
    kept = [camera.numbers(name) for name in camera.names]
    assert joined(kept) == list(range(100 - 10 * stay, 101))


def open_files_in(folder):
    """The number of files below `folder` that this process has open."""
    count = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        # The descriptor that lists the folder is closed by now.
        with contextlib.suppress(FileNotFoundError):
            count += descriptor.readlink().is_relative_to(folder)
    return count


def test_a_week_leaves_a_limited_number_of_files_and_descriptors(new_camera, tmp_path):
    keep = Retention(parts=20, age_s=DAY_S, total_bytes=50_000)
    camera = new_camera(Rotation(max_bytes=2000, max_age_s=3600, keep=keep))
    descriptors, largest = set(), 0
    for _ in range(7 * 24 * 4):
        camera.write(5, every_s=180)
        descriptors.add(open_files_in(tmp_path))
        sizes = [path.stat().st_size for path in tmp_path.iterdir()]
        largest = max(largest, len(sizes))
        # The limit applies at each rotation; the growing part is added to it.
        assert sum(sizes) <= 50_000 + 2 * 2300
    assert largest == 21
    assert descriptors == {1}


def test_a_clock_that_is_set_back_overwrites_nothing(new_camera, tmp_path):
    camera = new_camera(Rotation(max_age_s=10, keep=Retention(parts=400)))
    camera.write(3600)
    camera.turned.wall -= 3600
    camera.write(3597)
    assert len(camera.names) == 401
    # The oldest parts are removed, although the clock shows the same hour again.
    assert sorted(joined(map(camera.numbers, camera.names))) == list(range(3190, 7197))
    assert "street.20261128T024500Z_2.jsonl" in camera.names
    # The clock shows the same seconds a third time, in another process.
    camera.turned.wall -= 3600
    camera.restart()
    camera.write(20)
    assert len(camera.names) == 401
    assert set(joined(map(camera.numbers, camera.names))) > set(range(7197, 7217))


def test_parts_of_a_clock_that_was_years_ahead_are_removed(new_camera, tmp_path):
    camera = new_camera(Rotation(max_age_s=10, keep=Retention(parts=4)))
    camera.turned.wall += 4 * 365 * DAY_S
    camera.write(50)
    camera.turned.wall -= 4 * 365 * DAY_S
    for _ in range(3):
        camera.restart()
        camera.write(15)
    assert [name[7:11] for name in camera.names] == ["2026"] * 5
    assert joined(map(camera.numbers, camera.names)) == list(range(60, 95))


def test_a_restart_begins_a_new_part_and_removes_old_ones(new_camera, tmp_path):
    camera = new_camera(Rotation(max_age_s=10, keep=Retention(parts=2)))
    for _ in range(6):
        camera.write(3)
        camera.restart()
    assert [camera.numbers(name) for name in camera.names] == [
        [9, 10, 11],
        [12, 13, 14],
        [15, 16, 17],
    ]


def test_files_of_other_programs_are_not_removed(new_camera, tmp_path):
    others = [
        "street.jsonl",
        "street.20261128T024500Z.csv",
        "street2.20261128T024500Z.jsonl",
        "my street.20261128T024500Z.jsonl",
        "street.20261128T024500Z.jsonl.gz",
        "street.2026112T024500Z.jsonl",
    ]
    for name in others:
        (tmp_path / name).write_text("other file")
    folder, link = "street.20200101T000000Z.jsonl", "street.20200101T000001Z.jsonl"
    (tmp_path / folder).mkdir()
    (tmp_path / link).symlink_to(tmp_path / others[0])
    camera = new_camera(Rotation(max_age_s=1, keep=Retention(parts=0, age_s=0)))
    camera.write(10)
    assert len(camera.names) == len(others) + 3
    assert set(camera.names) > {*others, folder, link}
    assert (tmp_path / others[0]).read_text() == "other file"


@pytest.mark.parametrize("name", ["s" * 200, "é" * 200, "street.1 [a*] {?} (b)", "%d_%s"])
def test_any_name_of_a_camera_works(new_camera, tmp_path, name):
    camera = new_camera(Rotation(max_age_s=10, keep=Retention(parts=2)), name=name)
    camera.write(50)
    camera.restart()
    camera.write(30)
    assert len(camera.names) == 3
    assert joined(map(camera.numbers, camera.names)) == list(range(50, 80))
    record = json.loads((tmp_path / camera.names[0]).read_text().splitlines()[0])
    assert record["source"] == name


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*file.* \(Not a directory\)"):
        Parts(tmp_path / "file" / "street", "street", ".jsonl")


def test_a_full_disk_is_logged_once_and_written_to_again(new_camera, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    with small_disk(tmp_path / "disk", 64) as disk:
        rotation = Rotation(max_bytes=8000, keep=Retention())
        camera = new_camera(rotation, disk)
        recover(camera)
        camera.write(3000)
        assert re.search(r"No space left", camera.output.trouble)
        before = camera.output.lost
        assert before > 2000
        full = camera.names
        # About 70 failed attempts have left no files.
        assert len(full) < 10
        for name in full[:3]:
            (disk / name).unlink()
        after = int(PAUSE_S[1] + STEADY_S) + 30
        camera.write(after)
        assert camera.output.trouble == ""
        camera.output.close()
        lost = camera.output.lost
        found = sorted(number for name in camera.names for number in camera.numbers(name))
        assert found[-1] == 3000 + after - 1
        assert len(found) >= 3000 + after - lost - 3 * 60
    messages = [record.message for record in caplog.records]
    assert len(messages) == 2
    assert re.fullmatch(r"street: cannot write .*\(No space left on device\).*30 s", messages[0])
    assert messages[1] == f"street is written again; {lost} frames were lost"


@pytest.fixture
def blocked_camera(new_camera, tmp_path):
    """A camera with a recovering output, and a file at the path of its folder."""
    camera = new_camera(Rotation(), tmp_path / "later")
    (tmp_path / "later").rmdir()
    (tmp_path / "later").write_text("in the way")
    recover(camera)
    return camera


def recover(camera):
    camera.output = RecoveringOutput(
        camera._make, name="street", kind="jsonl", draws=False, clock=camera.turned.clock
    )


def test_a_folder_that_cannot_be_written_is_tried_again(blocked_camera, tmp_path, caplog):
    camera = blocked_camera
    camera.write(100)
    assert (camera.output.lost, len(caplog.records)) == (100, 1)
    (tmp_path / "later").unlink()
    camera.write(31)
    assert camera.numbers(camera.names[0])[-1] == 130


def test_a_short_failure_costs_few_frames(blocked_camera, tmp_path):
    blocked_camera.write(3)
    (tmp_path / "later").unlink()
    blocked_camera.write(97)
    assert blocked_camera.output.lost < 10
    assert blocked_camera.output.trouble == ""
