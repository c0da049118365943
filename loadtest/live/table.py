"""The figures in Markdown, against their bars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loadtest.live.overload import FAIRNESS

Figures = dict[str, Any]


def table(measured: dict[str, Figures]) -> str:
    """A line a figure.

    Args:
        measured: Figures by the name of their command; some may be missing.
    """
    lines = ["| | bar | measured |", "| --- | ---: | ---: |"]
    for name, rows in _ROWS.items():
        if name in measured:
            lines += [f"| {' | '.join(row)} |" for row in rows(measured[name])]
    return "\n".join(lines)


def _verdict(words: str, *, met: bool) -> str:
    return f"{words}, met" if met else f"**{words}, missed**"


def _age(figures: Figures) -> list[tuple[str, str, str]]:
    ages, bar = figures["age_ms"], figures["bar_ms"]
    said = f"{ages['p99']:.0f} ms (p50 {ages['p50']:.0f})"
    return [
        (
            f"one camera at {figures['frames_per_s']} frames/s: p99 age of a frame when its "
            "objects are known",
            f"<= {bar:.0f} ms",
            _verdict(said, met=ages["p99"] <= bar),
        )
    ]


def _capacity(figures: Figures) -> list[tuple[str, str, str]]:
    bar, found = figures["bar"], figures["most"]
    # The bar is one for a GPU.
    said = f"{found}" if figures["profile"] == "cpu" else _verdict(f"{found}", met=found >= bar)
    return [
        (
            "cameras of 1280x720 at 30 frames/s with tracking, p99 age "
            f"<= {figures['age_p99_bar_ms']:.0f} ms, metrics scraped, nobody watching",
            f">= {bar} on a GPU",
            said,
        )
    ]


def _overload(figures: Figures) -> list[tuple[str, str, str]]:
    ages, bar = figures["age_ms"], figures["age_bar_ms"]
    what = f"{figures['cameras']} cameras, 3 times what fits"
    return [
        (
            f"{what}: least over most",
            f">= {FAIRNESS}",
            _verdict(f"{figures['fairness']:.2f}", met=figures["fairness"] >= FAIRNESS),
        ),
        (
            f"{what}: p99 age, against the staleness budget and one answer",
            f"<= {bar:.0f} ms",
            _verdict(f"{ages['p99']:.0f} ms", met=ages["p99"] <= bar),
        ),
    ]


def _viewers(figures: Figures) -> list[tuple[str, str, str]]:
    one, many, bar = figures["one_viewer"], figures["many_viewers"], figures["bar"]
    most = max(int(number) for number in figures["runs"])
    return [
        (
            "somebody watches a camera of 1280x720 at 30 frames/s",
            f"<= {bar:.0%} of a core",
            _verdict(f"{one:.1%}", met=one <= bar),
        ),
        (
            f"{most} viewers, whose video costs the worker {figures['encoding_ratio']:.2f} times "
            "that of one",
            "one encode",
            f"{many:.1%}",
        ),
    ]


def _page(figures: Figures) -> list[tuple[str, str, str]]:
    slowest, bar = figures["slowest"], figures["bar"]
    said = f"{slowest:.1f} s (median {figures['median']:.1f})"
    return [
        (
            f"first moving picture after the page was opened, the slowest of "
            f"{len(figures['seconds'])}",
            f"<= {bar:g} s",
            _verdict(said, met=slowest <= bar),
        )
    ]


def _endurance(figures: Figures) -> list[tuple[str, str, str]]:
    grown, bar = figures["growth"], figures["growth_bar"]
    what = f"{figures['minutes']:g} minutes, {figures['faults']} faults"
    lost = len(figures["lost_for_good"])
    wrong = figures["wrong_answers"] + figures["wrong_lines"]
    compared = figures["right_answers"] + figures["right_lines"] + wrong
    return [
        *(
            (
                f"{what}: {process}, memory and open files, last tenth over second tenth",
                f"<= {bar}",
                _verdict(
                    f"{values['memory']:.3f} and {values['files']:.3f}",
                    met=all(value <= bar for value in values.values()),
                ),
            )
            for process, values in grown.items()
        ),
        (f"{what}: cameras that did not come back", "0", _verdict(f"{lost}", met=not lost)),
        (
            f"{what}: wrong boxes among those of {compared} frames",
            "0",
            _verdict(f"{wrong}", met=not wrong),
        ),
    ]


_ROWS: dict[str, Callable[[Figures], list[tuple[str, str, str]]]] = {
    "age": _age,
    "capacity": _capacity,
    "overload": _overload,
    "viewers": _viewers,
    "page": _page,
    "endurance": _endurance,
}
