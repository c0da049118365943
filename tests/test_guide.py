"""`docs/bring_your_own_model.md`, run as written on a checkpoint in the official format."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from needs import needs

needs("torch", variable="REQUIRE_TORCH")

from tools.demo.streets import CLASS_NAMES, sample  # noqa: E402

ROOT = Path(__file__).parents[1]
CHECKPOINT = ROOT / "tests" / "data" / "official" / "yolov7-tiny-random.pt"
PICTURES = 3


@pytest.fixture(scope="module")
def commands():
    text = (ROOT / "docs" / "bring_your_own_model.md").read_text()
    return re.findall(r"^```console\n\$ (.+)\n```$", text, re.MULTILINE)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the files that the commands use, with a checkpoint and a dataset at their paths."""
    root = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("clients", "tools", "videos"):
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    for name in ("nms", "preprocess", "yolov7", "yolov7_fp16"):
        shutil.copytree(
            ROOT / "model_repository" / name, root / "model_repository" / name, ignore=ignored
        )
    (root / ".venv-server").symlink_to(ROOT / ".venv-server")
    (root / "weights").mkdir()
    shutil.copy(CHECKPOINT, root / "weights" / "yolov7-tiny.pt")
    write_dataset(root / "datasets" / "street")
    return root


def write_dataset(folder):
    """Write a few drawn streets as a dataset in the format of YOLO."""
    for name in ("images", "labels"):
        (folder / name / "val").mkdir(parents=True)
    (folder / "data.yaml").write_text(f"names: {dict(CLASS_NAMES)}\nval: images/val\n")
    for seed in range(PICTURES):
        pixels, truth = sample(7_000_000 + seed, width=640, height=360)
        cv2.imwrite(str(folder / "images" / "val" / f"{seed}.png"), pixels[..., ::-1])
        lines = [
            f"{class_id} {(x1 + x2) / 1280} {(y1 + y2) / 720} {(x2 - x1) / 640} {(y2 - y1) / 360}\n"
            for class_id, (x1, y1, x2, y2) in zip(truth.class_ids, truth.boxes, strict=True)
        ]
        (folder / "labels" / "val" / f"{seed}.txt").write_text("".join(lines))


def run(command, checkout):
    program, *arguments = command.split()
    here = {
        ".venv-tools/bin/python": [sys.executable],
        ".venv-tools/bin/yolostream": [sys.executable, "-m", "yolostream"],
    }
    done = subprocess.run(
        [*here[program], *arguments],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout / "clients")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_commands_of_the_guide_export_install_and_evaluate_a_checkpoint(commands, checkout):
    make, fetch, export, install, detect, evaluate = commands
    assert make == "make tools"
    # This command needs the internet; tests/test_fetch_weights.py runs it with a local server.
    assert fetch == ".venv-tools/bin/python -m tools.fetch_weights yolov7-tiny"
    assert "25200 rows of 80 classes" in run(export, checkout)
    assert "installed yolov7-tiny" in run(install, checkout)
    run(detect, checkout)
    written = (checkout / "runs/first-look/mb1_1.jsonl").read_text().splitlines()
    assert len(written) == 20
    run(evaluate, checkout)
    report = json.loads((checkout / "runs/evaluation/evaluation.json").read_text())
    assert report["dataset"]["pictures"] == PICTURES
    assert abs(report["served_minus_bare"]["AP50"]) < 0.001
