"""Puts the measured figures into docs/performance.md: `python -m loadtest.readme`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from loadtest.gpu import pages
from loadtest.plots import ONE_AT_A_TIME
from loadtest.repository import REPOSITORY, RESULTS_FOLDER
from loadtest.result_file import read
from loadtest.speed import RESULTS
from loadtest.table import table

PAGE = REPOSITORY / "docs" / "performance.md"
REPORT = RESULTS_FOLDER / "report.json"


def speed_table(figures: dict[str, Any]) -> str:
    """The figures of one run of `loadtest.speed`, in Markdown."""
    lines = [
        "| | measured | bar |",
        "| --- | ---: | ---: |",
        *(f"| {what} | {value} | {bar} |" for what, value, bar in _speed_rows(figures)),
        "",
        _speed_caption(figures),
    ]
    return "\n".join(lines) + "\n"


def _speed_rows(figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What was measured, what it came to, and where it has to be."""
    median, memory = figures["median"], figures["memory"]
    resident_mb = memory["proportional_mb"]
    return [
        (
            "the ensemble over the faster bare ONNX Runtime loop, frames/s",
            f"{median['ensemble_over_bare']:.2f}",
            "",
        ),
        (
            "`detect` on the demo pair, everything written, over the same loop",
            f"{median['detect_over_bare']:.2f}",
            _verdict(median["detect_over_bare"], 0.85),
        ),
        (
            "the client's own processor time a frame, 640x360",
            f"{median['client_cpu_ms_per_frame']:.1f} ms",
            "at most 4 ms",
        ),
        (
            f"memory of client and server together, most over {memory['frames']:,} frames",
            f"{max(resident_mb):.0f} MB",
            "at most 1,500 MB",
        ),
        (
            "the same, last tenth over second tenth of those frames",
            f"{_growth(resident_mb):.2f}",
            "flat",
        ),
    ]


def _speed_caption(figures: dict[str, Any]) -> str:
    """On what, with what, by which command."""
    machine = figures["machine"]
    return (
        f"Medians of {len(figures['turns'])} rounds in one run of `{figures['command']}` on "
        f"{machine['cores']} cores ({machine['processor']}), profile `cpu`, "
        f"{figures['transport']}. Of the bare loops, one session with {figures['threads']} threads "
        f"did {figures['median']['one_session_frames_per_s']:.0f} frames/s, and a session a core "
        f"{figures['median']['session_a_core_frames_per_s']:.0f}. "
        "Raw figures: [speed.json](../loadtest/results/speed.json)."
    )


def _verdict(value: float, bar: float) -> str:
    return f"at least {bar:.2f}" + ("" if value >= bar else ", **missed**")


def _growth(proportional_mb: list[float]) -> float:
    """How much more memory at the end than after the start, as a ratio."""
    tenth = max(1, len(proportional_mb) // 10)
    early, late = proportional_mb[tenth : 2 * tenth], proportional_mb[-tenth:]
    return (sum(late) / len(late)) / (sum(early) / len(early))


def loadtest_section(report: dict[str, Any]) -> str:
    """What `loadtest.report` joined, in Markdown, with its pictures."""
    figures = report["figures"]
    folder = Path("..", RESULTS_FOLDER.relative_to(REPOSITORY))
    pictures = [
        f"![{words.partition(';')[0]}]({folder / name})\n\n*{words}*\n"
        for name, words in captions(figures)
    ]
    return "\n".join([table(figures), "", *pictures])


def captions(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """File name and caption of each picture that `plots.draw` makes of these figures."""
    words = {
        "perf_analyzer": ("concurrency.png", _concurrency_caption),
        "capacity": ("cameras.png", _cameras_caption),
        "price": ("frame_time.png", _frame_time_caption),
    }
    return [(name, say(figures[part])) for part, (name, say) in words.items() if part in figures]


def _concurrency_caption(perf_analyzer: dict[str, Any]) -> str:
    first = perf_analyzer["points"][0]
    height, width = first["size"]
    return (
        f"perf_analyzer on {first['model']}, frames of {width}x{height}: throughput and latency "
        "against requests in flight"
    )


def _cameras_caption(capacity: dict[str, Any]) -> str:
    return f"Latency and lost frames against cameras; the bound is {capacity['bound_ms']:g} ms"


def _frame_time_caption(price: dict[str, Any]) -> str:
    sums = {way: sum(parts.values()) for way, parts in price["parts_ms"].items()}
    told = [
        f"{' '.join(label.split())} {sums[way]:.0f} ms"
        for way, label in ONE_AT_A_TIME.items()
        if way in sums
    ]
    return f"Where a frame's time goes, one frame at a time; {'; '.join(told)}"


def with_speed(page: str, table: str) -> str:
    """A page with `table` between the marks of `loadtest.speed`."""
    return pages.between(page, "speed", table)


def with_loadtest(page: str, section: str) -> str:
    """A page with `section` between the marks of `loadtest.report`."""
    return pages.between(page, "loadtest", section)


def main() -> None:
    """Rewrite the page, and the others that have a place for figures."""
    page = PAGE.read_text(encoding="utf-8")
    page = with_speed(page, speed_table(json.loads(RESULTS.read_text(encoding="utf-8"))))
    page = with_loadtest(page, loadtest_section(read(REPORT)))
    PAGE.write_text(page, encoding="utf-8")
    pages.rewrite()


if __name__ == "__main__":
    main()
