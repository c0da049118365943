"""How many cameras more a machine takes, from what was measured while it watched those it has."""

from __future__ import annotations

import math
from dataclasses import dataclass

OBSERVED_S = 60.0
"""Seconds that have to be measured before anything is said."""

MOST_LEFT_OUT = 0.02
"""Share of the frames; where more are left out for want of time, the machine is full."""

FULL = 0.85
"""Share of the processor. The rest is for cameras that come back all at once."""


@dataclass(frozen=True)
class Load:
    """What a service and its machine did, while it had the cameras that it has now."""

    seconds: float
    """Measured so long."""
    cameras: int
    """That are live."""
    frames_read: int
    frames_done: int
    frames_left_out: int
    """They came faster than they were answered, or were too old when their turn came."""
    processor: float | None
    """Busy share of all cores, 0..1, whatever kept them busy; None where nobody knows."""


@dataclass(frozen=True)
class Capacity:
    """What follows from a load."""

    more: int | None
    """Cameras like those that are live; None where it is not known."""
    words: str
    """The same for people, and why."""


def capacity_of(load: Load) -> Capacity:
    """How many cameras more the machine takes.

    Nothing is promised that lies further away than twice the cameras that were measured: what
    would become short then need not be the processor.
    """
    if not load.cameras:
        return Capacity(None, "How many cameras fit is measured once one is live.")
    if load.seconds < OBSERVED_S:
        left = math.ceil(OBSERVED_S - load.seconds)
        return Capacity(None, f"How many more cameras fit is not known yet: {left} s to measure.")
    if load.frames_left_out > MOST_LEFT_OUT * max(1, load.frames_read):
        read, done = (round(n / load.seconds, 1) for n in (load.frames_read, load.frames_done))
        return Capacity(
            0,
            f"No more cameras fit: of {read:g} frames a second, {done:g} are looked at. "
            "The rest comes faster than the detector answers.",
        )
    if load.processor is None:
        return Capacity(None, "No frame is left out. How busy the processor is cannot be told.")
    return _by_processor(load.cameras, load.processor)


def _by_processor(cameras: int, busy: float) -> Capacity:
    # All that keeps it busy is put down to the cameras: rather too few than too many.
    more = math.floor((FULL - busy) / max(busy / cameras, 1e-3))
    why = f"the processor is {busy:.0%} busy with {cameras}"
    if more <= 0:
        return Capacity(0, f"No more cameras fit: {why}.")
    why += ", and no frame is left out"
    if more > cameras:
        return Capacity(cameras, f"At least {cameras} more {_like(cameras)}: {why}.")
    return Capacity(more, f"About {more} more {_like(more)}: {why}.")


def _like(count: int) -> str:
    return "camera like these fits" if count == 1 else "cameras like these fit"
