"""What each variant bought, in Markdown."""

from __future__ import annotations

from typing import Any

from loadtest.gpu.rows import Figures
from loadtest.gpu.thresholds import best

RATES = {
    "streams": "64 streams",
    "batches": "8 frames a request",
    "full_hd_system_batches": "8 1080p frames a request",
}
"""Rows that are told as frames per second over the bare engine's, and how people call them."""


def table(figures: dict[str, Any]) -> str:
    """A line a variant.

    Args:
        figures: Of the file that `loadtest.gpu.contexts` wrote; variants may be missing.
    """
    rate = best(figures)
    lines = [
        f"| `{figures['profile']}` | one stream, p50 | "
        + "".join(f"{words}, over bare | " for words in RATES.values())
        + "GPU memory |",
        f"| --- | ---: |{' ---: |' * len(RATES)} ---: |",
    ]
    for measured in figures["variants"].values():
        cells = (
            _cells(measured, rate)
            if "words" not in measured
            else ["failed", *[""] * (len(RATES) + 1)]
        )
        lines.append(f"| {measured['setting']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(measured: Figures, rate: float) -> list[str]:
    one = measured["one_stream"].get("latency_ms")
    memory_gb = measured.get("memory_gb")
    return [
        "failed" if one is None else f"{one['p50']:.2f} ms",
        *(_over(measured[row].get("frames_per_s"), rate) for row in RATES),
        "" if memory_gb is None else f"{memory_gb:.1f} GB",
    ]


def _over(frames_per_s: float | None, rate: float) -> str:
    return "failed" if frames_per_s is None else f"{frames_per_s / rate:.2f}"
