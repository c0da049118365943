"""Two reports side by side: what became worse by more than the noise of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from loadtest import quartiles
from loadtest.errors import RegressionError, ResultError
from loadtest.quartiles import Quartiles

_OF_OTHERS = {"sessions_over_bare", "unbatched_over_ensemble", "joined_over_ensemble"}
"""Ratios that say nothing of the ensemble as it is shipped: more is not better."""


@dataclass(frozen=True)
class Change:
    """One figure, of which more is better, in an old report and in a new one."""

    name: str
    old: Quartiles
    new: Quartiles

    @property
    def ratio(self) -> float:
        """New over old, of the medians."""
        return self.new.median / self.old.median

    @property
    def noise(self) -> float:
        """Interquartile ranges of both runs together, over the old median."""
        apart = self.old.high - self.old.low + self.new.high - self.new.low
        return apart / self.old.median

    def __str__(self) -> str:
        return f"{self.name}: {self.ratio:.2f} of {self.old.median:g}, noise {self.noise:.2f}"


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """Compare the prices in two reports.

    Args:
        old: Content of a `report.json`.
        new: Another.

    Returns:
        The figures that both have: ratios always, frames per second only where both come from the
        same kind of machine.

    Raises:
        ResultError: One has no prices, or those of one round, which does not tell its noise.
    """
    before, after = _price(old, "old"), _price(new, "new")
    same = all(_machine(old)[key] == _machine(new)[key] for key in ("processor", "cores"))
    return [
        Change(name, Quartiles(**before[kind][name]), Quartiles(**after[kind][name]))
        for kind in (("ratios", "frames_per_s") if same else ("ratios",))
        for name in before[kind]
        if name in after[kind] and name not in _OF_OTHERS
    ]


def check(changes: list[Change]) -> None:
    """Fail if a figure became worse by more than the noise.

    Raises:
        RegressionError: At least one did.
    """
    if worse := [change for change in changes if change.ratio < 1 - change.noise]:
        raise RegressionError(
            f"worse than before: {'; '.join(map(str, worse))}; measure again on a quiet machine, "
            "then look at what changed"
        )


def _machine(report: dict[str, Any]) -> dict[str, Any]:
    """Where the prices were measured, which need not be where they were reported."""
    machine: dict[str, Any] = report["figures"]["sources"]["price"]["machine"]
    return machine


def _price(report: dict[str, Any], which: str) -> dict[str, Any]:
    price: dict[str, Any] | None = report["figures"].get("price")
    if price is None or len(quartiles.complete(price["turns"])) < 2:
        raise ResultError(
            f"the {which} report has no price of two rounds or more, so its noise is unknown: "
            "run 'make loadtest' without QUICK"
        )
    return price
