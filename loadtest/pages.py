"""Puts the measured figures into the pages: `python -m loadtest.pages`.

In the README and in `docs`, they replace the text between `<!-- NAME -->` and `<!-- /NAME -->`.
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

_SECTIONS: Mapping[str, tuple[str, Callable[[Content], str]]] = {
    "speed": ("speed", speed.section),
    "gpu": ("gpu", gpu.section),
    "gpu-times": ("gpu", gpu.times),
    "gpu-cudnn": ("gpu_cudnn", gpu.section),
    "gpu-cudnn-times": ("gpu_cudnn", gpu.times),
    "endtoend": ("endtoend", endtoend.section),
    "endtoend-cudnn": ("endtoend_cudnn", endtoend.section),
    "capacity": ("capacity", capacity.section),
    "perf-analyzer": ("perf_analyzer", perf_analyzer.section),
}
"""The file and the text of each place."""
_WITHOUT_SOURCE = ("gpu-times", "gpu-cudnn-times")
"""Its source is written at another place, of the same file."""


def texts(root: str, folder: Path = RESULTS_FOLDER) -> dict[str, str]:
    """Markdown by the name of its place, of the files that exist.

    Args:
        root: From the page to the repository's root, for links: `../` or nothing.
        folder: The folder of the files.
    """
    files = {path.stem: read(path) for path in folder.glob("*.json")}
    told = {}
    for place, (name, section) in _SECTIONS.items():
        if name in files:
            told[place] = section(files[name])
            if place not in _WITHOUT_SOURCE:
                link = f"{root}loadtest/results/{name}.json"
                told[place] += f"\n\n{source(files[name], link)}"
    measured = {
        figure: files[f"live_{figure}"]["figures"]
        for figure in live.FIGURES
        if f"live_{figure}" in files
    }
    if measured:
        told["live"] = live.section(measured)
    return told


def filled(page: str, texts: Mapping[str, str]) -> str:
    """A page with each text in its place, if it has one."""
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
