"""Puts the measured figures into the README: `python -m loadtest.readme`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from loadtest.speed import REPOSITORY, RESULTS

README = REPOSITORY / "README.md"
START, END = "<!-- speed -->\n", "<!-- /speed -->"


def speed_table(figures: dict[str, Any]) -> str:
    """The figures of one run of `loadtest.speed`, in Markdown."""
    median, memory, machine = figures["median"], figures["memory"], figures["machine"]
    resident = memory["proportional_mb"]
    rows = [
        (
            "the ensemble over a bare ONNX Runtime loop, frames/s",
            f"{median['ensemble_over_bare']:.2f}",
            "at least 0.90",
        ),
        (
            "`detect` on the demo pair, everything written, over the same loop",
            f"{median['detect_over_bare']:.2f}",
            "at least 0.70",
        ),
        (
            "the client's own processor time a frame, 640x360",
            f"{median['client_cpu_ms_per_frame']:.1f} ms",
            "at most 4 ms",
        ),
        (
            f"memory of client and server together, most over {memory['frames']:,} frames",
            f"{max(resident):.0f} MB",
            "at most 1,500 MB",
        ),
        (
            "the same, last tenth over second tenth of those frames",
            f"{_growth(resident):.2f}",
            "flat",
        ),
    ]
    lines = ["| | measured | bar |", "| --- | ---: | ---: |"]
    lines += [f"| {what} | {value} | {bar} |" for what, value, bar in rows]
    lines.append("")
    lines.append(
        f"Medians of {len(figures['turns'])} turns in one run of `{figures['command']}` on "
        f"{machine['cores']} cores ({machine['processor']}), profile `cpu`, "
        f"{figures['detector_threads']} detector threads on both sides, {figures['transport']}; "
        f"the bare loop did {median['bare_frames_per_s']:.0f} frames/s. "
        "Raw figures: [speed.json](loadtest/results/speed.json)."
    )
    return "\n".join(lines) + "\n"


def _growth(proportional_mb: list[float]) -> float:
    """How much more memory at the end than after the start, as a ratio."""
    tenth = max(1, len(proportional_mb) // 10)
    early, late = proportional_mb[tenth : 2 * tenth], proportional_mb[-tenth:]
    return (sum(late) / len(late)) / (sum(early) / len(early))


def with_speed(readme: str, table: str) -> str:
    """The README with `table` between its two marks."""
    before, rest = readme.split(START)
    _, after = rest.split(END)
    return f"{before}{START}{table}{END}{after}"


def main(results: Path = RESULTS) -> None:
    """Rewrite the README."""
    table = speed_table(json.loads(results.read_text()))
    README.write_text(with_speed(README.read_text(), table))


if __name__ == "__main__":
    main()
