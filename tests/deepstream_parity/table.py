"""The measured figures in Markdown, between two marks of a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.deepstream_parity.front_ends import MODES, app_of
from tests.deepstream_parity.measure import METRICS
from tools.agreement import SAME_IOU, SAME_SCORE

DOCS = Path(__file__).parents[2] / "docs"
RESULTS, PAGE = DOCS / "deepstream_parity.json", DOCS / "deepstream.md"
START, END = "<!-- parity -->\n", "<!-- /parity -->"

AGREEING_BAR = 0.95
AP_BAR = 0.01
"""Most that AP and AP50 may differ."""


def meets_bars(figures: dict[str, Any], mode: str) -> bool:
    """Whether `mode` sees what the client sees, on all material and however the client sends."""
    return all(
        pair["agreeing"] >= AGREEING_BAR
        and accuracy_difference(part, mode, pair["client"]) <= AP_BAR
        for part in figures["material"].values()
        for pair in part["pairs"]
        if pair["mode"] == mode
    )


def accuracy_difference(part: dict[str, Any], mode: str, client: str) -> float:
    """The larger of the differences in AP and in AP50."""
    ours, theirs = part["accuracy"][client], part["accuracy"][mode]
    return max(abs(ours[metric] - theirs[metric]) for metric in METRICS)


def parity_table(figures: dict[str, Any]) -> str:
    """The figures of one run of `python -m tests.deepstream_parity`."""
    material = figures["material"]
    names = [f"{name}, {part['frames']} frames" for name, part in material.items()]
    kinds = ("agree", " / ".join(METRICS))
    head = ["DeepStream", "MB a frame", *(f"{n}: {k}" for n in names for k in kinds)]
    lines = [f"| {' | '.join(head)} | bars met |", f"| --- |{' ---: |' * (len(head) - 1)} --- |"]
    for client in ("shrunk", "full size"):
        cells = [f"the Python client, {client}", ""]
        for part in material.values():
            cells += ["", _accuracy(part, client)]
        lines.append(f"| {' | '.join(cells)} | |")
    for mode in MODES:
        cells = [MODES[mode].title, f"{_megabytes(mode):.2f}"]
        for part in material.values():
            cells += [_agreeing(part["pairs"], mode), _accuracy(part, mode)]
        lines.append(
            f"| {' | '.join(cells)} | {'yes' if meets_bars(figures, mode) else '**no**'} |"
        )
    lines += [
        "",
        "Boxes agree that have the same class in both, overlap by an IoU of "
        f"{SAME_IOU} or more, and whose scores differ by {SAME_SCORE} or less; the share is of all "
        "boxes of both. In brackets: with boxes cut at the edges, where DeepStream's parser takes "
        "off the last pixel of the tensor and boxes may reach into the padding. The bars: "
        f"{AGREEING_BAR:.0%} agree, AP (IoU 0.50 to 0.95) and AP50 within {AP_BAR}. Measured by "
        f"`{figures['command']}`; raw figures: [deepstream_parity.json](deepstream_parity.json).",
    ]
    return "\n".join(lines) + "\n"


def with_parity(page: str, table: str) -> str:
    """The page with `table` between its two marks."""
    before, rest = page.split(START)
    _, after = rest.split(END)
    return f"{before}{START}{table}{END}{after}"


def _megabytes(mode: str) -> float:
    height, width, channels = app_of(MODES[mode]).infer.backend.inputs[0].dims
    return height * width * channels / 1e6


def _accuracy(part: dict[str, Any], name: str) -> str:
    return " / ".join(f"{part['accuracy'][name][metric]:.3f}" for metric in METRICS)


def _agreeing(pairs: list[dict[str, Any]], mode: str) -> str:
    """The least of both ways in which the client sends."""
    pair = min((p for p in pairs if p["mode"] == mode), key=lambda p: p["agreeing"])
    return f"{pair['agreeing']:.1%} ({pair['agreeing_edges_aside']:.1%})"
