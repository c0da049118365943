"""The figures in Markdown, compared with their bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from loadtest.table import Bar, Figures, table

FAIRNESS = 0.8

Rows = list[list[str]]
"""What was measured, its bar, and the figure."""


def section(measured: Mapping[str, Figures]) -> str:
    """A row or more for each figure.

    Args:
        measured: Figures by the name of their command; some may be missing.
    """
    rows = [
        row for name, rows in FIGURES.items() if name in measured for row in rows(measured[name])
    ]
    return table(["", "bar", "measured"], rows)


def _age(figures: Figures) -> Rows:
    rate, ages = figures["frames_per_s"], figures["age_ms"]
    title = f"one camera at {rate} frames/s: p99 age of a frame when its objects are known"
    bar = Bar(" ms", 0, at_most=figures["bar_ms"])
    return [bar.row(title, ages["p99"], note=f" (p50 {ages['p50']:.0f})")]


def _capacity(figures: Figures) -> Rows:
    title = (
        "cameras at 30 frames/s with tracking, p99 age at most "
        f"{figures['age_p99_bar_ms']:.0f} ms, metrics scraped, nobody watching (the bar is for a "
        "GPU)"
    )
    bar = Bar(digits=0, at_least=figures["bar"])
    return [bar.row(title, figures["most"], binds=figures["profile"] != "cpu")]


def _overload(figures: Figures) -> Rows:
    what = f"{figures['cameras']} cameras, 3 times what fits"
    age = f"{what}: p99 age, against the staleness budget and one answer"
    return [
        Bar(at_least=FAIRNESS).row(f"{what}: least over most", figures["fairness"]),
        Bar(" ms", 0, at_most=figures["age_bar_ms"]).row(age, figures["age_ms"]["p99"]),
    ]


def _viewers(figures: Figures) -> Rows:
    one = "somebody watches a camera of 1280x720 at 30 frames/s, of a core"
    many = (
        f"{max(map(int, figures['runs']))} viewers, whose video costs the worker "
        f"{figures['encoding_ratio']:.2f} times that of one, of a core"
    )
    return [
        Bar("%", 1, at_most=figures["bar"]).row(one, figures["one_viewer"]),
        Bar("%", 1, words="one encode").row(many, figures["many_viewers"]),
    ]


def _page(figures: Figures) -> Rows:
    openings = len(figures["seconds"])
    title = f"first moving picture after the page was opened, the slowest of {openings}"
    bar = Bar(" s", 1, at_most=figures["bar"])
    return [bar.row(title, figures["slowest"], note=f" (median {figures['median']:.1f})")]


def _endurance(figures: Figures) -> Rows:
    what = f"{figures['minutes']:g} minutes, {figures['faults']} faults"
    wrong = figures["wrong_answers"] + figures["wrong_lines"]
    compared = figures["right_answers"] + figures["right_lines"] + wrong
    growth, none = Bar(digits=3, at_most=figures["growth_bar"]), Bar(digits=0, at_most=0)
    return [
        *(
            growth.row(f"{what}: {process}, {words}, last tenth over second tenth", grown[name])
            for process, grown in figures["growth"].items()
            for name, words in (("memory", "memory"), ("files", "open files"))
        ),
        none.row(f"{what}: cameras that did not come back", len(figures["lost_for_good"])),
        none.row(f"{what}: wrong boxes among those of {compared} frames", wrong),
    ]


FIGURES: Mapping[str, Callable[[Figures], Rows]] = {
    "age": _age,
    "capacity": _capacity,
    "overload": _overload,
    "viewers": _viewers,
    "page": _page,
    "endurance": _endurance,
}
"""The rows of each figure, by the name of its command."""
