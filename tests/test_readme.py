"""The figures and commands in the README and the model card are right."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from pathlib import Path

from conftest import REPOSITORY

from loadtest import pages
from loadtest.repository import RESULTS_FOLDER
from loadtest.result_file import read

README = (REPOSITORY / "README.md").read_text()
CARD = (REPOSITORY / "docs" / "model_card.md").read_text()
ACCURACY = json.loads((REPOSITORY / "docs" / "model_accuracy.json").read_text())


def test_the_figures_of_the_readme_are_those_of_the_committed_results():
    ratio = read(RESULTS_FOLDER / "speed.json")["figures"]["median"]["detect_over_bare"]
    assert f"`detect` reaches {ratio:.2f} of a bare ONNX Runtime loop" in README
    texts = pages.texts("")
    for name, found in (
        ("gpu-cudnn", r"(\d+) cameras at 30 frames/s"),
        ("gpu", r"and (\d+) with PyTorch"),
        ("live", r"(\d+) tracked"),
        ("endtoend-cudnn", r"(\d+) tracked"),
        ("endtoend", r"`detect` holds (\d+)"),
    ):
        (cameras,) = re.findall(found, README)
        assert re.search(rf"^\|.* 48 \|.*\b{cameras}, (met|missed)", texts[name], re.MULTILINE)
    runs = read(RESULTS_FOLDER / "endtoend_cudnn.json")["figures"]["runs"]
    assert f"{runs['cameras-48-gpu']['age_ms']['p99']:.0f} ms with `detect`" in README


def test_the_make_commands_of_the_readme_exist():
    makefile = (REPOSITORY / "Makefile").read_text()
    commands = re.findall(r"(?:\$ |`)make ([\w-]+)", README)
    assert {"demo", "test", "live", "deepstream", "docs"} <= set(commands)
    for command in commands:
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)


def test_the_library_example_of_the_readme_is_short_and_compiles():
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    compile(program, "README.md", "exec")
    assert len(program.strip().splitlines()) <= 8


def test_the_readme_is_small():
    assert len(README.encode()) <= 7 * 1024
    pictures = [REPOSITORY / one for one in re.findall(r"docs/images/[\w.-]+", README)]
    assert sum(one.stat().st_size for one in pictures) < 1_500_000


def test_the_badges_of_the_readme_are_right():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    versions = [
        one.rpartition(":: ")[2]
        for one in project["classifiers"]
        if re.search(r"Python :: 3\.\d+$", one)
    ]
    badges = {
        "license": project["license"],
        "python": f"{versions[0]} to {versions[-1]}",
        "triton": "2.51.0",
    }
    for name, text in badges.items():
        assert f">{text}<" in (REPOSITORY / "docs" / "images" / f"badge-{name}.svg").read_text()


def test_the_model_card_describes_the_served_model():
    model = REPOSITORY / "model_repository" / "yolov7_fp16" / "1" / "model.onnx"
    assert ACCURACY["settings"]["model_sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()


def test_the_model_card_has_the_measured_accuracy():
    for kind in ("photographs", "scenes"):
        for source, scores in ACCURACY[kind].items():
            measured = scores["with_ignored"]
            (row,) = re.findall(rf"^\| {kind}: {source} \|(.*)$", CARD, re.MULTILINE)
            count, *cells = [cell.strip() for cell in row.strip("|").split("|")]
            assert int(count) == scores["images"]
            quoted = [float(cell) for cell in cells if cell]
            names = [name for name in measured if name != "mean_ap50"]
            expected = [measured[name]["ap50"] for name in names] + [measured["mean_ap50"]]
            assert quoted == [round(value, 3) for value in expected]


def test_no_page_contains_a_path_of_one_machine():
    for page in Path(REPOSITORY).glob("**/*.md"):
        if ".venv" not in str(page) and "node_modules" not in str(page):
            assert not re.search(r"/(root|home|work|tmp)/", page.read_text()), page
