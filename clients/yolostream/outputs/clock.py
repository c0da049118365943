"""What tells the time to outputs, so that tests can turn it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """What tells the time."""

    wall: Callable[[], float] = time.time
    """Unix time in seconds, which names files; it may be set back."""
    steady: Callable[[], float] = time.monotonic
    """Seconds that always rise, which end them."""


SYSTEM_CLOCK = Clock()
