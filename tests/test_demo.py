"""The first command in the README, and the accuracy of its results on the demo clips."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import subprocess
from pathlib import Path

import av
import pytest
from conftest import REPOSITORY
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from trackers.eval import evaluate_mot_sequence

CLIPS = ("mb1_1", "mb2_2")
FRAMES = 300


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """`make demo`, into a folder of its own."""
    folder = tmp_path_factory.mktemp("demo") / "output"
    run = subprocess.run(
        ["make", "demo", f"OUTPUT={folder}"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return folder, run


def records(folder, clip):
    return [json.loads(line) for line in (folder / f"{clip}.jsonl").read_text().splitlines()]


def test_the_demo_writes_all_files_that_the_readme_names(demo):
    folder, _ = demo
    suffixes = ("mp4", "jsonl", "csv", "txt")
    expected = {f"{clip}.{suffix}" for clip in CLIPS for suffix in suffixes} | {"tiled.mp4"}
    assert {path.name for path in folder.iterdir()} == expected


@pytest.mark.parametrize("name", [*CLIPS, "tiled"])
def test_the_videos_are_complete(demo, name):
    folder, _ = demo
    with av.open(str(folder / f"{name}.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.average_rate == 30
        assert sum(1 for _ in container.decode(stream)) == FRAMES


@pytest.mark.parametrize("clip", CLIPS)
def test_json_csv_and_mot_agree(demo, clip):
    folder, _ = demo
    lines = records(folder, clip)
    assert [line["frame"] for line in lines] == list(range(FRAMES))
    objects = [(line["frame"], found) for line in lines for found in line["detections"]]
    with (folder / f"{clip}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(objects)
    for row, (frame, found) in zip(rows, objects, strict=True):
        assert (int(row["frame"]), row["class"]) == (frame, found["class"])
    tracked = [(frame + 1, found["track_id"]) for frame, found in objects if found["track_id"]]
    mot = [line.split(",") for line in (folder / f"{clip}.txt").read_text().splitlines()]
    assert [(int(row[0]), int(row[1])) for row in mot] == tracked


def test_the_report_has_the_times_of_the_stages(demo):
    _, run = demo
    for word in (*CLIPS, "together", "frames/s", "request p50", "p99"):
        assert word in run.stdout
    stages = ("decode", "downscale", "request", "queue", "preprocess", "yolov7_fp16", "nms")
    for stage in (*stages, "track", "draw", "write"):
        rows = (line.split("│") for line in run.stdout.splitlines() if "│" in line)
        (row,) = (row for row in rows if row[1].strip() == stage)
        assert float(row[2]) >= 0


@pytest.mark.parametrize("clip", CLIPS)
def test_objects_are_found(demo, clip):
    folder, _ = demo
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(REPOSITORY / "videos" / f"{clip}.coco.json"))
        ids = {image["frame_index"]: image["id"] for image in truth.dataset["images"]}
        found = truth.loadRes(
            [
                {
                    "image_id": ids[line["frame"]],
                    "category_id": one["class_id"],
                    "bbox": [
                        *one["box"][:2],
                        *(b - a for a, b in zip(one["box"][:2], one["box"][2:], strict=True)),
                    ],
                    "score": one["confidence"],
                }
                for line in records(folder, clip)
                for one in line["detections"]
            ]
        )
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[1] >= 0.95, f"mAP50 {evaluation.stats[1]:.3f}"


@pytest.mark.parametrize("clip", CLIPS)
def test_objects_are_tracked(demo, clip, tmp_path):
    folder, _ = demo
    truth = tmp_path / "truth.txt"
    truth.write_text(scored(REPOSITORY / "videos" / f"{clip}.mot.txt"))
    result = evaluate_mot_sequence(truth, folder / f"{clip}.txt", ["CLEAR", "Identity"])
    assert result.CLEAR.MOTA >= 0.95, f"MOTA {result.CLEAR.MOTA:.3f}"
    assert result.Identity.IDF1 >= 0.95, f"IDF1 {result.Identity.IDF1:.3f}"


def scored(path: Path) -> str:
    """The ground truth in the format of MOT17: class 1 counts, class 8 is a distractor."""
    rows = [line.split(",") for line in path.read_text().splitlines()]
    return "".join(
        ",".join([*row[:6], "1", "1" if row[6] == "1" else "8", row[8]]) + "\n" for row in rows
    )
