"""What the README and the model card say is what was measured and what is there."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from conftest import REPOSITORY

from loadtest import readme, speed
from loadtest.gpu import pages

README = (REPOSITORY / "README.md").read_text()
CARD = (REPOSITORY / "docs" / "model_card.md").read_text()
ACCURACY = json.loads((REPOSITORY / "docs" / "model_accuracy.json").read_text())


def test_the_figures_are_those_of_the_committed_run():
    figures = json.loads(speed.RESULTS.read_text())
    assert readme.with_speed(README, readme.speed_table(figures)) == README


def test_the_gpu_s_figures_are_those_of_the_committed_runs():
    for name, root in (("README.md", ""), ("docs/gpu.md", "../")):
        page = (REPOSITORY / name).read_text()
        assert pages.filled(page, pages.texts(root=root)) == page


def test_the_two_commands_exist():
    makefile = (REPOSITORY / "Makefile").read_text()
    commands = re.findall(r"```console\n\$ make (\w+)\n```", README)
    assert commands[:2] == ["demo", "test"]
    for command in commands:
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)


def test_every_link_leads_somewhere():
    for page in (REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_model_card_is_about_the_model_that_is_served():
    model = REPOSITORY / "model_repository" / "yolov7_fp16" / "1" / "model.onnx"
    assert ACCURACY["settings"]["model_sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()


def test_the_model_card_quotes_the_measured_accuracy():
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


def test_no_page_names_a_place_of_one_machine():
    for page in Path(REPOSITORY).glob("**/*.md"):
        if ".venv" not in str(page) and "node_modules" not in str(page):
            assert not re.search(r"/(root|home|work|tmp)/", page.read_text()), page
