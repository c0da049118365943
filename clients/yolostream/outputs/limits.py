"""Values of settings that make sense."""

from __future__ import annotations


def check_limits(least: float, most: float = float("inf"), **values: float) -> None:
    """Make sure that values are from `least` to `most`.

    Raises:
        ValueError: one of them is not; it is named.
    """
    for name, value in values.items():
        if not least <= value <= most:
            upper = "" if most == float("inf") else f", and at most {most:,}"
            raise ValueError(f"{name} is {value}: it has to be at least {least:,}{upper}")
