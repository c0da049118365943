"""Figures as tables in Markdown, compared with their bars."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Figures = dict[str, Any]
"""What a benchmark measured, as JSON has it."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; all columns except the first are aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(
        "|" + "".join(f" {cell} |" if cell else " |" for cell in line) for line in lines
    )


@dataclass(frozen=True)
class Bar:
    """The target for a figure."""

    side: Literal["at least", "at most"]
    value: float
    unit: str = ""
    """Written behind a figure; `%` for a share."""
    digits: int = 2
    """Digits of a figure behind the point."""

    def said(self, value: float) -> str:
        """A figure as people read it."""
        if self.unit == "%":
            return f"{value:.{self.digits}%}"
        return f"{value:,.{self.digits}f}{self.unit}"

    def judged(self, value: float, *, note: str = "", binds: bool = True) -> str:
        """A figure, a note behind it, and a verdict if the bar binds it; a missed one is bold."""
        said = f"{self.said(value)}{note}"
        if not binds:
            return said
        met = value >= self.value if self.side == "at least" else value <= self.value
        return f"{said}, met" if met else f"**{said}, missed**"

    def __str__(self) -> str:
        """The bar as people read it."""
        return f"{self.side} {self.said(self.value)}"


@dataclass(frozen=True)
class Check:
    """A figure that has a bar."""

    title: str
    bar: Bar
    value: Callable[[Figures], float | None]
    """Computes the figure from the figures of a run; None if they lack it."""
    asked: Callable[[Figures], bool] = lambda figures: True
    """Whether it was to be measured; otherwise it has not failed."""
    whose: str = ""
    """The profiles that the bar applies to, if not to all."""

    @property
    def heading(self) -> str:
        """The title, and which profiles the bar applies to."""
        return f"{self.title} (the bar is for {self.whose})" if self.whose else self.title


def verdicts(
    checks: Iterable[Check],
    columns: Mapping[str, Figures],
    *,
    binds: Callable[[Check, str], bool],
) -> list[list[str]]:
    """The rows of the checks that were asked for: title, bar, and the verdict of each column.

    `binds` says whether the bar of a check applies to the column of this name.
    """
    rows = []
    for check in checks:
        if any(check.asked(figures) for figures in columns.values()):
            cells = [_cell(check, figures, binds(check, name)) for name, figures in columns.items()]
            rows.append([check.heading, str(check.bar), *cells])
    return rows


def _cell(check: Check, figures: Figures, binds: bool) -> str:
    if not check.asked(figures):
        return ""
    value = check.value(figures)
    return "**failed**" if value is None else check.bar.judged(value, binds=binds)
