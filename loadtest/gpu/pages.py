"""Puts the measured figures into the pages that have a place for them."""

from __future__ import annotations

from pathlib import Path

from loadtest.endtoend import table as endtoend_table
from loadtest.gpu import table, variants_table
from loadtest.repository import REPOSITORY, RESULTS_FOLDER
from loadtest.result_file import read

GPU, CONTEXTS = RESULTS_FOLDER / "gpu.json", RESULTS_FOLDER / "gpu_contexts.json"
ENDTOEND = RESULTS_FOLDER / "endtoend.json"


def texts(
    gpu: Path = GPU, contexts: Path = CONTEXTS, endtoend: Path = ENDTOEND, *, root: str = ""
) -> dict[str, str]:
    """Markdown by the name of its mark, of the files that are there.

    Args:
        gpu: What `loadtest.gpu` wrote.
        contexts: What `loadtest.gpu.contexts` wrote.
        endtoend: What `loadtest.endtoend` wrote.
        root: From the page to the repository's root, for links: `../` or nothing.

    Raises:
        ResultError: A file is something else.
    """
    told = {}
    if gpu.exists():
        content = read(gpu)
        told["gpu"] = table.section(content, path=root + _link(gpu))
        told["gpu-times"] = table.times(content["figures"]["profiles"])
    if contexts.exists():
        content = read(contexts)
        caption = table.caption(content, path=root + _link(contexts))
        told["gpu-contexts"] = f"{variants_table.table(content['figures'])}\n\n{caption}\n"
    if endtoend.exists():
        told["endtoend"] = endtoend_table.section(read(endtoend), path=root + _link(endtoend))
    return told


def filled(page: str, texts: dict[str, str]) -> str:
    """A page with each text between `<!-- NAME -->` and `<!-- /NAME -->`, where it has these."""
    for name, text in texts.items():
        if _start(name) in page:
            page = between(page, name, text)
    return page


def between(page: str, mark: str, text: str) -> str:
    """A page with `text` between `<!-- MARK -->` and `<!-- /MARK -->`, in place of the old.

    Raises:
        ValueError: It has not each of them once.
    """
    before, rest = page.split(_start(mark))
    end = f"<!-- /{mark} -->"
    _, after = rest.split(end)
    return f"{before}{_start(mark)}{text}{end}{after}"


def _start(mark: str) -> str:
    return f"<!-- {mark} -->\n"


def rewrite() -> None:
    """Rewrite the pages in `docs`."""
    for path in sorted((REPOSITORY / "docs").glob("*.md")):
        page = path.read_text(encoding="utf-8")
        told = texts(root="../")
        if (new := filled(page, told)) != page:
            path.write_text(new, encoding="utf-8")


def _link(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()
