"""The pages of the documentation: links, generated parts, and the names of files and functions."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml
from conftest import REPOSITORY

from tools import site
from tools.reference.pages import pages

DOCS = REPOSITORY / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
KEYS = {"mkdocs.yml", "nav"}
"""What a place may name besides classes and functions."""
OTHERS_TEXTS = {
    "Connection refused",
    "Server returned 404",
    "libpython3.11.so",
    "Failed to initialize Python stub",
    "Stub process ... is not healthy",
    "has kind KIND_GPU but no GPUs are available",
    "CUDARuntimeError: cudaErrorInsufficientDriver",
    "OutOfMemoryError",
    "cudaErrorMemoryAllocation",
    "Failed to find C compiler",
    "Python.h: No such file",
    "cpu",
    "onnx-gpu",
    "/dev/shm",
    "Yolostream...",
}
"""Quoted in the page about errors, and not written by this project's Python."""
ARCHITECTURE = (DOCS / "architecture.md").read_text()


def rows(heading):
    """The cells of each row of the table below a heading in the page about the architecture."""
    section = ARCHITECTURE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def defined(path):
    """The names that a file defines: `function`, `Class` and `Class.method`."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (one for one in node.body if isinstance(one, ast.FunctionDef))
            found |= {f"{node.name}.{one.name}" for one in methods}
    return found


def test_the_path_of_a_frame_has_at_most_seven_stops():
    assert 1 <= len(rows("One frame in seven stops")) <= 7


@pytest.mark.parametrize("stop", rows("One frame in seven stops"), ids=lambda stop: stop[0])
def test_each_stop_exists(stop):
    *_, files, functions = stop
    assert re.findall(r"`(.+?)`", files)
    assert re.findall(r"`(.+?)`", functions)
    for file in re.findall(r"`(.+?)`", files):
        assert set(re.findall(r"`(.+?)`", functions)) <= defined(REPOSITORY / file)


@pytest.mark.parametrize("place", rows("Where a new part belongs"), ids=lambda place: place[0])
def test_each_place_for_a_new_part_exists(place):
    _, start, test = place
    paths = re.findall(r"`([\w./]+/[\w./]*)`", start + test)
    assert paths
    for path in paths:
        assert (REPOSITORY / path).exists(), path
    names = {name for path in paths if path.endswith(".py") for name in defined(REPOSITORY / path)}
    for name in re.findall(r"`(\w+(?:\.\w+)?)`", start):
        assert name in names or name in KEYS, name


def test_each_folder_of_the_architecture_exists():
    places = " ".join(where for _, where in rows("Where things are"))
    for path in re.findall(r"`([\w./]+/[\w./]*)`", places):
        assert (REPOSITORY / path).exists(), path


def test_the_generated_pages_are_those_of_the_code():
    for name, text in pages(DOCS).items():
        assert (DOCS / name).read_text() == text, "run 'make reference'"


def own_texts():
    """The messages of this project in the tables of the page about errors, without their values."""
    tables = (DOCS / "troubleshooting.md").read_text().partition("## Cameras")[2]
    tables = tables.partition("## DeepStream")[0]
    first_cells = [line.split("|")[1] for line in tables.splitlines() if line.startswith("| ")]
    quoted = set(re.findall(r"`([^`]+)`", " ".join(first_cells)))
    return sorted(quoted - OTHERS_TEXTS)


@pytest.mark.parametrize("text", own_texts())
def test_the_quoted_errors_are_in_the_code(text):
    files = [
        path
        for folder in ("clients/yolostream", "model_repository")
        for path in (REPOSITORY / folder).rglob("*.py")
    ]
    # Join the string literals of a message that spans several lines.
    code = re.sub(r"[\"']\s*\n\s*f?[\"']", "", "\n".join(path.read_text() for path in files))
    parts = re.split(r"\.\.\.|\(.*?\)|\[.*?\]|\b\d+\b|^preprocess", text)
    assert [part for part in parts if part.strip(" ?") not in code] == []


def test_every_page_is_in_the_navigation():
    navigation = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text())["nav"]
    listed = re.findall(r"[\w/]+\.md", str(navigation))
    assert sorted(listed) == sorted(page.relative_to(DOCS).as_posix() for page in PAGES)


@pytest.mark.parametrize("page", [REPOSITORY / "README.md", *PAGES], ids=lambda page: page.name)
def test_the_target_of_every_link_exists(page):
    text = page.read_text()
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    targets += re.findall(r'(?:src|srcset)="([^"]+)"', text)
    for target in targets:
        assert (page.parent / target).exists(), target


def anchors(page):
    """The anchors of the headings in a page, as GitHub and Zensical name them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", one).lower()) for one in headings}


@pytest.mark.parametrize("page", [REPOSITORY / "README.md", *PAGES], ids=lambda page: page.name)
def test_the_section_of_every_link_exists(page):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text()):
        assert anchor in anchors(page.parent / target if target else page), (target, anchor)


def test_a_link_to_a_file_outside_of_the_documentation_leads_to_a_copy(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    folder = tmp_path / "reference"
    folder.mkdir()
    page = folder / "page.html"
    page.write_text('<a href="../../LICENSE">license</a> <a href="../index.html">start</a>')
    site.complete(page, tmp_path)
    assert page.read_text() == (
        '<a href="../repository/LICENSE">license</a> <a href="../index.html">start</a>'
    )
    assert (tmp_path / "repository" / "LICENSE").read_bytes() == Path("LICENSE").read_bytes()
