"""Figures as tables in Markdown, compared with their bars."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Figures = dict[str, Any]
"""What a benchmark measured, as JSON has it."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; all columns except the first are aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(
        "|" + "".join(f" {cell} |" if cell else " |" for cell in line) for line in lines
    )


def listed(columns: Mapping[str, Callable[[Figures], str]], items: Iterable[Figures]) -> str:
    """Write a row for each item; a column is a heading, and says what the item has there.

    The cell is empty if it raises a `KeyError`.
    """

    def cell(say: Callable[[Figures], str], item: Figures) -> str:
        try:
            return say(item)
        except KeyError:
            return ""

    return table(list(columns), [[cell(say, item) for say in columns.values()] for item in items])


@dataclass(frozen=True)
class Bar:
    """How a figure is written, and the target that it has, if it has one."""

    unit: str = ""
    """Written behind the figure; `%` for a share."""
    digits: int = 2
    """Behind the point."""
    at_least: float | None = None
    at_most: float | None = None
    words: str = ""
    """In place of a target with a number."""

    def said(self, value: float) -> str:
        """A figure as people read it."""
        if self.unit == "%":
            return f"{value:.{self.digits}%}"
        return f"{value:,.{self.digits}f}{self.unit}"

    def judged(self, value: float, *, note: str = "", binds: bool = True) -> str:
        """A figure, a note behind it, and a verdict if a target binds it; a missed one is bold."""
        said = f"{self.said(value)}{note}"
        if not binds or self.at_least is self.at_most is None:
            return said
        # NaN, which is no figure, reaches no target.
        met = (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )
        return f"{said}, met" if met else f"**{said}, missed**"

    def row(self, title: str, value: float, *, note: str = "", binds: bool = True) -> list[str]:
        """The title, the target, and the verdict."""
        return [title, str(self), self.judged(value, note=note, binds=binds)]

    def __str__(self) -> str:
        """The target as people read it."""
        if self.at_least is not None:
            return f"at least {self.said(self.at_least)}"
        return self.words if self.at_most is None else f"at most {self.said(self.at_most)}"


@dataclass(frozen=True)
class Check:
    """A figure that is computed from those of a run, or of several runs side by side."""

    title: str
    bar: Bar
    value: Callable[[Figures], float | None]
    """Returns None, or raises a `KeyError`, if the figures lack it."""
    asked: Callable[[Figures], bool] = lambda figures: True
    """Whether it was to be measured; otherwise it has not failed."""
    whose: str = ""
    """The profiles that the bar applies to, if not to all."""

    @property
    def heading(self) -> str:
        """The title, and which profiles the bar applies to."""
        return f"{self.title} (the bar is for {self.whose})" if self.whose else self.title

    def of(self, figures: Figures) -> float | None:
        """The figure; None if it was not measured."""
        try:
            return self.value(figures)
        except KeyError:
            return None

    def judged(self, figures: Figures, *, binds: bool) -> str:
        """The verdict; empty if the figure was not to be measured."""
        if not self.asked(figures):
            return ""
        value = self.of(figures)
        return "**failed**" if value is None else self.bar.judged(value, binds=binds)


def verdicts(
    checks: Iterable[Check],
    columns: Mapping[str, Figures],
    *,
    binds: Callable[[Check, Figures], bool],
) -> list[list[str]]:
    """A row for each check that was asked for: title, bar, and the verdict of each column.

    `binds` says whether the bar of a check applies to the figures of a column.
    """
    return [
        [
            check.heading,
            str(check.bar),
            *(check.judged(one, binds=binds(check, one)) for one in columns.values()),
        ]
        for check in checks
        if any(check.asked(one) for one in columns.values())
    ]
