"""Puts the measured figures into the pages that have a place for them: `python -m loadtest.pages`.

A place is what stands between `<!-- NAME -->` and `<!-- /NAME -->`, in the README or in `docs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from loadtest import capacity, perf_analyzer, speed
from loadtest.endtoend import table as endtoend
from loadtest.gpu import table as gpu
from loadtest.live import table as live
from loadtest.repository import REPOSITORY, RESULTS_FOLDER
from loadtest.result_file import Content, read, source

PAGES = (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")))
LIVE = tuple(f"live_{figure}" for figure in live.FIGURES)

_OF_ONE_FILE: Mapping[str, tuple[str, Callable[[Content], str]]] = {
    "speed": ("speed", speed.section),
    "gpu": ("gpu", gpu.section),
    "gpu-times": ("gpu", gpu.times),
    "endtoend": ("endtoend", endtoend.section),
    "capacity": ("capacity", capacity.section),
    "perf-analyzer": ("perf_analyzer", perf_analyzer.section),
}
_WITHOUT_SOURCE = ("gpu-times",)
"""The same run as another place, which says where it comes from."""


def texts(root: str, folder: Path = RESULTS_FOLDER) -> dict[str, str]:
    """Markdown by the name of its place, of the figures that are there.

    Args:
        root: From the page to the repository's root, for links: `../` or nothing.
        folder: Has the files of figures.

    Raises:
        ResultError: A file is something else.
    """
    told = {}
    for mark, (name, section) in _OF_ONE_FILE.items():
        if (path := folder / f"{name}.json").exists():
            content = read(path)
            link = f"{root}loadtest/results/{name}.json"
            told[mark] = section(content)
            if mark not in _WITHOUT_SOURCE:
                told[mark] += f"\n\n{source(content, link)}"
    measured = {
        name.removeprefix("live_"): read(path)["figures"]
        for name in LIVE
        if (path := folder / f"{name}.json").exists()
    }
    if measured:
        told["live"] = live.section(measured)
    return told


def filled(page: str, texts: Mapping[str, str]) -> str:
    """A page with each text in its place, where it has one."""
    for name, text in texts.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if start in page:
            before, rest = page.split(start)
            _, after = rest.split(end)
            page = f"{before}{start}{text}\n{end}{after}"
    return page


def rewritten(path: Path) -> str:
    """A page with the committed figures."""
    return filled(path.read_text(encoding="utf-8"), texts("" if path == PAGES[0] else "../"))


def main() -> None:
    """Rewrite the pages."""
    for path in PAGES:
        if (page := rewritten(path)) != path.read_text(encoding="utf-8"):
            path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
