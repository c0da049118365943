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
    """The target for a figure.

    Attributes:
        side: Whether the figure has to be at least or at most `value`.
        value: The number.
        unit: Written behind it; `%` for a share.
        digits: Digits of a figure behind the point.
    """

    side: Literal["at least", "at most"]
    value: float
    unit: str = ""
    digits: int = 2

    def said(self, value: float) -> str:
        """A figure as people read it."""
        if self.unit == "%":
            return f"{value:.{self.digits}%}"
        return f"{value:,.{self.digits}f}{self.unit}"

    def judged(self, value: float, *, note: str = "", binds: bool = True) -> str:
        """A figure with its verdict; one that misses the bar is bold.

        Args:
            value: The figure.
            note: Written behind it.
            binds: Whether the bar applies to this figure.
        """
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
    """A figure that has a bar.

    Attributes:
        title: What is measured.
        bar: The bar.
        value: Computes the figure from the figures of a run; None if they lack it.
        asked: Whether it was to be measured; otherwise it has not failed.
        whose: Which profiles the bar applies to, if not to all.
    """

    title: str
    bar: Bar
    value: Callable[[Figures], float | None]
    asked: Callable[[Figures], bool] = lambda figures: True
    whose: str = ""

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

    Args:
        checks: The checks.
        columns: Figures by the name of their column.
        binds: Whether the bar of a check applies to the column of this name.
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


def values(checks: Mapping[str, Check], figures: Figures) -> dict[str, float]:
    """The figure of each check, by its name; what was not measured is absent."""
    computed = {
        name: check.value(figures) for name, check in checks.items() if check.asked(figures)
    }
    return {name: value for name, value in computed.items() if value is not None}
