"""Estimates how many more cameras a machine can take, from measurements with the present ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

OBSERVED_S = 60.0
"""Seconds that are measured before an estimate is made."""

MAX_SKIPPED = 0.02
"""Share of the frames that may be skipped. If more are skipped, the machine is full."""

MAX_BUSY = 0.85
"""Share of the processor that cameras may use. The rest is for cameras that reconnect together."""


@dataclass(frozen=True)
class Load:
    """Measurements of a service and its machine while the same cameras were live."""

    seconds: float
    """Duration of the measurement."""
    cameras: int
    """Number of live cameras."""
    frames_read: int
    frames_done: int
    frames_skipped: int
    """Frames that arrived faster than the server answered, or became too old while they waited."""
    processor: float | None
    """Busy share of all cores by any program, 0..1; None if unknown."""


@dataclass(frozen=True)
class Capacity:
    """An estimate of how many more cameras fit."""

    more: int | None
    """Number of further cameras like those that are live; None if unknown."""
    words: str
    """The estimate and its reason, as text for people."""


def capacity_of(load: Load) -> Capacity:
    """Estimate how many more cameras the machine can take.

    The estimate is at most the number of cameras that were measured: with more than twice as many
    cameras, another resource than the processor may run out first.
    """
    if not load.cameras:
        return Capacity(None, "How many cameras fit is measured once one is live.")
    if load.seconds < OBSERVED_S:
        left = math.ceil(OBSERVED_S - load.seconds)
        return Capacity(None, f"How many more cameras fit is not known yet: {left} s to measure.")
    if load.frames_skipped > MAX_SKIPPED * max(1, load.frames_read):
        read, done = (round(n / load.seconds, 1) for n in (load.frames_read, load.frames_done))
        return Capacity(
            0,
            f"No more cameras fit: {done:g} of {read:g} frames per second are processed. "
            "The others arrive faster than the server answers.",
        )
    if load.processor is None:
        return Capacity(
            None, "No frame is skipped. How many more cameras fit is not known on this machine."
        )
    return _by_processor(load.cameras, load.processor)


def _by_processor(cameras: int, busy: float) -> Capacity:
    # The load of other programs is attributed to the cameras too, so the estimate errs on the low
    # side.
    more = math.floor((MAX_BUSY - busy) / max(busy / cameras, 1e-3))
    why = f"the processor is {busy:.0%} busy with {cameras}"
    if more <= 0:
        return Capacity(0, f"No more cameras fit: {why}.")
    why += ", and no frame is skipped"
    if more > cameras:
        return Capacity(cameras, f"At least {cameras} more {_like(cameras)}: {why}.")
    return Capacity(more, f"About {more} more {_like(more)}: {why}.")


def _like(count: int) -> str:
    return "camera like these fits" if count == 1 else "cameras like these fit"
