"""The figures in Markdown, compared with their bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from loadtest.table import Bar, Figures, table

FAIRNESS = 0.8

Row = tuple[str, str, str]
"""What was measured, its bar, and the figure."""


def section(measured: Mapping[str, Figures]) -> str:
    """A row or more for each figure.

    Args:
        measured: Figures by the name of their command; some may be missing.
    """
    rows = [
        row for name, said in FIGURES.items() if name in measured for row in said(measured[name])
    ]
    return table(["", "bar", "measured"], rows)


def _row(title: str, bar: Bar, value: float, note: str = "", *, binds: bool = True) -> Row:
    return title, str(bar), bar.judged(value, note=note, binds=binds)


def _age(figures: Figures) -> list[Row]:
    ages = figures["age_ms"]
    rate = figures["frames_per_s"]
    title = f"one camera at {rate} frames/s: p99 age of a frame when its objects are known"
    bar = Bar("at most", figures["bar_ms"], " ms", 0)
    return [_row(title, bar, ages["p99"], f" (p50 {ages['p50']:.0f})")]


def _capacity(figures: Figures) -> list[Row]:
    title = (
        "cameras at 30 frames/s with tracking, p99 age at most "
        f"{figures['age_p99_bar_ms']:.0f} ms, metrics scraped, nobody watching (the bar is for a "
        "GPU)"
    )
    bar = Bar("at least", figures["bar"], digits=0)
    return [_row(title, bar, figures["most"], binds=figures["profile"] != "cpu")]


def _overload(figures: Figures) -> list[Row]:
    what = f"{figures['cameras']} cameras, 3 times what fits"
    return [
        _row(f"{what}: least over most", Bar("at least", FAIRNESS), figures["fairness"]),
        _row(
            f"{what}: p99 age, against the staleness budget and one answer",
            Bar("at most", figures["age_bar_ms"], " ms", 0),
            figures["age_ms"]["p99"],
        ),
    ]


def _viewers(figures: Figures) -> list[Row]:
    most = max(int(number) for number in figures["runs"])
    return [
        _row(
            "somebody watches a camera of 1280x720 at 30 frames/s, of a core",
            Bar("at most", figures["bar"], "%", 1),
            figures["one_viewer"],
        ),
        (
            f"{most} viewers, whose video costs the worker {figures['encoding_ratio']:.2f} times "
            "that of one, of a core",
            "one encode",
            f"{figures['many_viewers']:.1%}",
        ),
    ]


def _page(figures: Figures) -> list[Row]:
    openings = len(figures["seconds"])
    title = f"first moving picture after the page was opened, the slowest of {openings}"
    bar = Bar("at most", figures["bar"], " s", 1)
    return [_row(title, bar, figures["slowest"], f" (median {figures['median']:.1f})")]


def _endurance(figures: Figures) -> list[Row]:
    what = f"{figures['minutes']:g} minutes, {figures['faults']} faults"
    wrong = figures["wrong_answers"] + figures["wrong_lines"]
    compared = figures["right_answers"] + figures["right_lines"] + wrong
    growth, none = Bar("at most", figures["growth_bar"], digits=3), Bar("at most", 0, digits=0)
    return [
        *(
            _row(f"{what}: {process}, {words}, last tenth over second tenth", growth, values[name])
            for process, values in figures["growth"].items()
            for name, words in (("memory", "memory"), ("files", "open files"))
        ),
        _row(f"{what}: cameras that did not come back", none, len(figures["lost_for_good"])),
        _row(f"{what}: wrong boxes among those of {compared} frames", none, wrong),
    ]


FIGURES: Mapping[str, Callable[[Figures], list[Row]]] = {
    "age": _age,
    "capacity": _capacity,
    "overload": _overload,
    "viewers": _viewers,
    "page": _page,
    "endurance": _endurance,
}
"""The rows of each figure, by the name of its command."""
