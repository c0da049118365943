"""What each variant bought, in Markdown."""

from __future__ import annotations

from typing import Any

from loadtest.gpu.bars import best
from loadtest.gpu.rows import Figures

_RATES = ("streams", "batches", "full_hd_system_batches")


def table(figures: dict[str, Any]) -> str:
    """A line a variant.

    Args:
        figures: Of the file that `loadtest.gpu.contexts` wrote; variants may be missing.
    """
    rate = best(figures)
    lines = [
        f"| `{figures['profile']}` | one stream, p50 | 64 streams over bare "
        "| 8 frames a request over bare | the same, 1080p | GPU memory |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for measured in figures["variants"].values():
        cells = _cells(measured, rate) if "words" not in measured else ["fails", *4 * [""]]
        lines.append(f"| {measured['setting']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(measured: Figures, rate: float) -> list[str]:
    one = measured["one_stream"].get("latency_ms")
    memory_gb = measured.get("memory_gb")
    return [
        "failed" if one is None else f"{one['p50']:.2f} ms",
        *(_over(measured[row].get("frames_per_s"), rate) for row in _RATES),
        "" if memory_gb is None else f"{memory_gb:.1f} GB",
    ]


def _over(frames_per_s: float | None, rate: float) -> str:
    return "failed" if frames_per_s is None else f"{frames_per_s / rate:.2f}"
