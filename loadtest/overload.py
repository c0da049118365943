"""Three times the cameras that a server can serve, and how it recovers from them."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from dataclasses import replace

from yolostream import Detector

from loadtest.cameras import ANSWERED, Cameras, CameraSettings
from loadtest.processes import memory_mb
from loadtest.server import Target
from loadtest.table import Figures

FACTOR = 3
IN_FLIGHT = 1000
"""Frames of all cameras in flight at once: more than a server queues, so that it has to reject."""
RECOVERY_S = 5.0
"""How long the cameras run after the flood."""
_WELL_S = 1.0
"""A server has recovered when it answered every frame in time for so long."""
_SAMPLE_S = 0.5


def overload(
    target: Target, detector: Detector, settings: CameraSettings, *, capacity: int, seconds: float
) -> Figures:
    """Flood the server, then return to the load that it can serve.

    The cameras of the flood keep sending without answers, until the server rejects frames. The
    project's own clients would drop these frames instead.

    Args:
        target: The server.
        detector: A client of it.
        settings: Of each camera.
        capacity: Number of cameras that the server can serve.
        seconds: Length of the flood.

    Returns:
        `cameras` and `seconds` of the flood, the `outcomes` of its frames, an error message of
        each kind, `server_memory_mb` during it, and `recovery_s`: the seconds until every frame
        was answered within the bound again, or None.
    """
    usual = max(1, capacity)
    flood = FACTOR * usual
    used_mb = []
    with (
        Cameras(settings) as afterwards,
        Cameras(replace(settings, in_flight=IN_FLIGHT // flood + 1)) as flooding,
    ):
        afterwards.make_ready(usual)
        with contextlib.ExitStack() as after:
            with flooding.showing(flood) as records:
                for _ in range(max(1, round(seconds / _SAMPLE_S))):
                    time.sleep(_SAMPLE_S)
                    used_mb.append(round(memory_mb(target.pids), 1))
                detector.statistics()  # Raises if the server is gone.
                ended_s = time.perf_counter()
                # The frames of the flood that are still in flight delay these cameras.
                recovered = after.enter_context(afterwards.showing(usual))
            time.sleep(max(0.0, ended_s + RECOVERY_S - time.perf_counter()))
    flooded = [record for record in records if record.scheduled_s < ended_s]
    return {
        "cameras": flood,
        "seconds": seconds,
        "outcomes": dict(Counter(record.outcome for record in flooded)),
        "messages": {r.outcome: r.message for r in flooded if r.message is not None},
        "server_memory_mb": used_mb,
        "recovery_s": _recovery_s([(r.scheduled_s - ended_s, r.outcome) for r in recovered]),
    }


def _recovery_s(outcomes: list[tuple[float, str]]) -> float | None:
    """When the last frame was not answered in time; None if that was close to the end.

    Args:
        outcomes: Of each frame, the seconds since the end of the flood and what became of it.
    """
    last_s = max((second for second, outcome in outcomes if outcome != ANSWERED), default=0.0)
    return round(last_s, 2) if last_s < RECOVERY_S - _WELL_S else None


def said(figures: Figures) -> str:
    """A sentence about what `overload` returned."""
    later_mb = figures["server_memory_mb"][len(figures["server_memory_mb"]) // 2 :]
    counts = Counter[str](figures["outcomes"])
    shares = (f"{count / counts.total():.0%} {outcome}" for outcome, count in counts.most_common())
    memory = (
        f"; the server's memory was {min(later_mb):.0f} to {max(later_mb):.0f} MB in the second "
        "half"
        if max(later_mb)
        else ""
    )
    recovery = (
        "afterwards it did not recover while it was watched"
        if figures["recovery_s"] is None
        else f"{figures['recovery_s']:.1f} s afterwards every frame was answered within the bound "
        "again (bar: 2 s)"
    )
    return (
        f"Flooded by {figures['cameras']} cameras that do not wait for answers, for "
        f"{figures['seconds']:g} s: {', '.join(shares)}{memory}; {recovery}."
    )
