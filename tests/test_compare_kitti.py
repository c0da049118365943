from __future__ import annotations

import numpy as np
import pytest
from yolostream import Detections

from tests.nvinferserver.kitti import write_kitti
from tools.agreement import agreement
from tools.compare_kitti import main, read_kitti
from tools.errors import DatasetError

LABELS = ("car", "traffic light", "bus")


def detections(*rows):
    """Make detections from rows of x1, y1, x2, y2, score, class id."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64), LABELS)


def test_a_line_has_the_format_of_deepstream(tmp_path):
    write_kitti(tmp_path, source=1, number=23, found=detections((1, 2.5, 30, 40, 0.5, 1)))
    assert (tmp_path / "00_001_000023.txt").read_text() == (
        "traffic light 0.0 0 0.0 1.000000 2.500000 30.000000 40.000000"
        " 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.500000\n"
    )


def test_labels_with_spaces_are_read_whole(tmp_path):
    found = detections((1, 2, 30, 40, 0.5, 1), (5, 6, 7, 8, 0.25, 0))
    write_kitti(tmp_path, source=0, number=0, found=found)
    read = read_kitti(tmp_path / "00_000_000000.txt")
    assert read.names == ["traffic light", "car"]
    assert np.array_equal(read.boxes, found.boxes)
    assert np.array_equal(read.scores, found.scores)


def test_boxes_of_a_class_are_paired_with_the_best_pairs_first():
    one = detections((0, 0, 100, 100, 0.9, 0), (0, 0, 100, 100, 0.8, 2))
    other = detections((0, 0, 100, 80, 0.9, 0), (0, 0, 100, 98, 0.88, 0), (0, 0, 100, 100, 0.8, 1))
    compared = agreement([(one, other), (one, one), (detections(), detections())])
    assert compared.boxes == (4, 5)
    assert compared.ious == pytest.approx([0.98, 1, 1])
    assert compared.score_differences == pytest.approx([0.02, 0, 0], abs=1e-6)
    assert compared.share == pytest.approx(6 / 9)


@pytest.mark.parametrize(
    ("row", "share"),
    [
        ((0, 0, 100, 95.1, 0.8, 0), 1),
        ((0, 0, 100, 94.9, 0.8, 0), 0),
        ((0, 0, 100, 100, 0.829, 0), 1),
        ((0, 0, 100, 100, 0.831, 0), 0),
    ],
)
def test_a_pair_agrees_within_the_tolerances(row, share):
    assert agreement([(detections((0, 0, 100, 100, 0.8, 0)), detections(row))]).share == share


def test_two_frames_without_boxes_agree():
    assert agreement([(detections(), detections())]).share == 1
    assert agreement([(detections(), detections((0, 0, 9, 9, 0.5, 0)))]).share == 0


@pytest.fixture
def folders(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, frames in ((one, 3), (other, 2)):
        folder.mkdir()
        for number in range(frames):
            found = detections((0, 0, 100, 100, 0.8, number))
            write_kitti(folder, source=0, number=number, found=found)
    return one, other


def test_the_command_reports_the_frames_that_both_have(folders, capsys):
    one, other = folders
    main([str(one), str(other)])
    report = capsys.readouterr().out
    assert "2 frames in both" in report
    assert f"2 boxes in {one}, 2 in {other}" in report
    assert "100.0% of all boxes agree" in report


def test_the_command_reports_boxes_without_a_partner(folders, capsys):
    one, other = folders
    write_kitti(other, source=0, number=0, found=detections())
    write_kitti(other, source=0, number=1, found=detections())
    main([str(one), str(other)])
    report = capsys.readouterr().out
    assert "0 pairs" in report
    assert "0.0% of all boxes agree" in report


def test_folders_that_cannot_be_compared_are_named(folders, tmp_path, capsys):
    one, other = folders
    (tmp_path / "empty").mkdir()
    for path in other.iterdir():
        path.rename(path.with_name(path.name.replace("00_000", "00_001")))
    for wrong, named in (
        (tmp_path / "none", "none"),
        (tmp_path / "empty", "empty"),
        (other, "APP"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([str(one), str(wrong)])
        assert ended.value.code == DatasetError.exit_code
        assert named in capsys.readouterr().err


@pytest.mark.parametrize("line", ["car 1 2 3", "car " + "x " * 15, ""])
def test_a_line_in_another_format_is_named(folders, line):
    path = folders[0] / "00_000_000000.txt"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DatasetError, match=r"00_000_000000\.txt:2"):
        read_kitti(path)
