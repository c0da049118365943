"""The clock of outputs, which tests can replace."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """Two sources of the time."""

    wall: Callable[[], float] = time.time
    """Unix time in seconds, for the names of files; it may be set back."""
    steady: Callable[[], float] = time.monotonic
    """Monotonic time in seconds, for durations."""


SYSTEM_CLOCK = Clock()
