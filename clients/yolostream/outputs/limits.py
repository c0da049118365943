"""Checks of the values of settings."""

from __future__ import annotations


def check_limits(least: float, most: float = float("inf"), **values: float) -> None:
    """Check that named values are from `least` to `most`.

    Raises:
        ValueError: one of them is not. The message has its name.
    """
    for name, value in values.items():
        if not least <= value <= most:
            upper = "" if most == float("inf") else f", and at most {most:,}"
            raise ValueError(f"{name} is {value}: it has to be at least {least:,}{upper}")
