"""Figures as tables in Markdown, held against their bars."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Figures = dict[str, Any]
"""What a benchmark has measured, as JSON has it."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; all columns but the first are aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(
        "|" + "".join(f" {cell} |" if cell else " |" for cell in line) for line in lines
    )


@dataclass(frozen=True)
class Bar:
    """A number, and on which side of it a value has to be.

    Attributes:
        side: `at least` or `at most`.
        value: The number.
        unit: Behind it, as people read it; `%` for a share.
        digits: Of a value, behind the point.
    """

    side: Literal["at least", "at most"]
    value: float
    unit: str = ""
    digits: int = 2

    def met(self, value: float) -> bool:
        """Whether a value is on the right side."""
        return value >= self.value if self.side == "at least" else value <= self.value

    def said(self, value: float) -> str:
        """A value as people read it."""
        if self.unit == "%":
            return f"{value:.{self.digits}%}"
        return f"{value:,.{self.digits}f}{self.unit}"

    def judged(self, value: float, *, note: str = "", binds: bool = True) -> str:
        """A value with its verdict; what is missed is bold.

        Args:
            value: What was measured.
            note: Said behind it.
            binds: Whether the bar is for this one.
        """
        said = f"{self.said(value)}{note}"
        if not binds:
            return said
        return f"{said}, met" if self.met(value) else f"**{said}, missed**"

    def __str__(self) -> str:
        """The bar as people read it."""
        return f"{self.side} {self.said(self.value)}"


@dataclass(frozen=True)
class Check:
    """A figure that has a bar.

    Attributes:
        title: What is measured.
        bar: Where it has to be.
        value: Computes it from the figures; None where they lack it.
        asked: Whether it was to be measured; what was not has not failed.
        whose: Who the bar is for, where it is not for all; the others tell what they come to.
    """

    title: str
    bar: Bar
    value: Callable[[Figures], float | None]
    asked: Callable[[Figures], bool] = lambda figures: True
    whose: str = ""

    @property
    def heading(self) -> str:
        """What is measured, and whose bar it is."""
        return f"{self.title} (the bar is for {self.whose})" if self.whose else self.title


def verdicts(
    checks: Iterable[Check],
    columns: Mapping[str, Figures],
    *,
    binds: Callable[[Check, str], bool],
) -> list[list[str]]:
    """A line for each check that was asked for: its title, its bar, and each column's verdict.

    Args:
        checks: What is told.
        columns: Figures by name.
        binds: Whether a check's bar is for the column of this name.
    """
    rows = []
    for check in checks:
        if any(check.asked(figures) for figures in columns.values()):
            cells = [_cell(check, figures, binds(check, name)) for name, figures in columns.items()]
            rows.append([check.heading, str(check.bar), *cells])
    return rows


def _cell(check: Check, figures: Figures, binds: bool) -> str:
    value = check.value(figures) if check.asked(figures) else None
    if value is not None:
        return check.bar.judged(value, binds=binds)
    # What was tried and failed is not left out.
    return "**failed**" if check.asked(figures) else ""


def values(checks: Mapping[str, Check], figures: Figures) -> dict[str, float]:
    """What each check comes to, by its name; what was not measured is absent."""
    computed = {
        name: check.value(figures) for name, check in checks.items() if check.asked(figures)
    }
    return {name: value for name, value in computed.items() if value is not None}
