"""Writes the measured figures as Markdown tables between two marks of a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.deepstream_parity.front_ends import MODES, app_of
from tests.deepstream_parity.measure import METRICS
from tests.deepstream_parity.real import SHARES, SHARES_1080P
from tools.agreement import SAME_IOU, SAME_SCORE

DOCS = Path(__file__).parents[2] / "docs"
RESULTS, PAGE = DOCS / "deepstream_parity.json", DOCS / "deepstream.md"

FILTERS = {
    0: "0 nearest",
    1: "1 bilinear",
    2: "2 cubic, shipped",
    3: "3 super",
    4: "4 Lanczos",
    5: "5",
}
AGREEING_BAR = 0.95
AP_BAR = 0.01
"""Largest allowed difference of AP and AP50."""


def meets_bars(figures: dict[str, Any], mode: str) -> bool:
    """Whether `mode` agrees with the client, on all material and with both ways to send frames."""
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
    head = [
        "DeepStream",
        "MB a frame",
        "equal boxes, measured in DeepStream 9.1",
        *(f"{n}: {k}" for n in names for k in kinds),
    ]
    lines = [f"| {' | '.join(head)} | bars met |", f"| --- |{' ---: |' * (len(head) - 1)} --- |"]
    for client in ("shrunk", "full size"):
        cells = [f"the Python client, {client}", "", ""]
        for part in material.values():
            cells += ["", _accuracy(part, client)]
        lines.append(f"| {' | '.join(cells)} | |")
    for mode in MODES:
        cells = [MODES[mode].title, f"{_megabytes(mode):.2f}", _measured(mode)]
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


def filter_table(figures: dict[str, Any]) -> str:
    """Equal boxes by filter: measured, with the emulation's in brackets."""
    filters = figures["filters"]
    lines = [
        "| equal boxes, % | " + " | ".join(FILTERS.values()) + " |",
        "| --- |" + " ---: |" * len(FILTERS),
    ]
    for mode, emulated in filters["modes"].items():
        cells = [
            f"{SHARES[mode][number]:.1%} ({emulated[str(number)]['share']:.1%})"
            if number in SHARES[mode]
            else "ends DeepStream"
            for number in FILTERS
        ]
        lines.append(f"| {MODES[mode].title} | {' | '.join(cells)} |".replace("%", ""))
    for mode, shares in SHARES_1080P.items():
        cells = [f"{shares[number]:.1%}" if number in shares else "" for number in FILTERS]
        lines.append(f"| {MODES[mode].title}, 1920x1080 | {' | '.join(cells)} |".replace("%", ""))
    lines += [
        "",
        f"Measured: 300 frames of mb1_1. In brackets: what the replay gives on {filters['frames']} "
        f"frames of it. Equal boxes have an IoU of {SAME_IOU} or more to the Python client's.",
    ]
    return "\n".join(lines) + "\n"


def with_section(page: str, name: str, text: str) -> str:
    """Replace the text between the two marks of this name in a page."""
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, rest = page.split(start)
    _, after = rest.split(end)
    return f"{before}{start}{text}{end}{after}"


def with_figures(page: str, figures: dict[str, Any]) -> str:
    """Replace both tables in a page."""
    page = with_section(page, "filters", filter_table(figures))
    return with_section(page, "parity", parity_table(figures))


def _measured(mode: str) -> str:
    number = app_of(MODES[mode]).infer.preprocess.frame_scaling_filter
    return f"{SHARES[mode][number]:.1%}" if mode in SHARES else ""


def _megabytes(mode: str) -> float:
    height, width, channels = app_of(MODES[mode]).infer.backend.inputs[0].dims
    return height * width * channels / 1e6


def _accuracy(part: dict[str, Any], name: str) -> str:
    return " / ".join(f"{part['accuracy'][name][metric]:.3f}" for metric in METRICS)


def _agreeing(pairs: list[dict[str, Any]], mode: str) -> str:
    """The smaller value of the two ways in which the client sends frames."""
    pair = min((p for p in pairs if p["mode"] == mode), key=lambda p: p["agreeing"])
    return f"{pair['agreeing']:.1%} ({pair['agreeing_edges_aside']:.1%})"
