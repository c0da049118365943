"""Three times what a server can take, from cameras that do not care, and how it gets over it."""

from __future__ import annotations

import contextlib
import time
from collections import Counter

import numpy as np
from yolostream import Detector

from loadtest.bound import Bound
from loadtest.camera_process import ANSWERED
from loadtest.cameras import Cameras
from loadtest.server import Target
from loadtest.table import Figures
from loadtest.usage import memory_mb

FACTOR = 3
IN_FLIGHT = 1000
"""Frames of all cameras on their way at once: more than a server queues, so that it must reject."""
RECOVERY_S = 5.0
_SAMPLE_S = 0.5
_WELL_S = 1.0
"""So long has all to be well before the server counts as recovered."""


def overload(
    target: Target,
    detector: Detector,
    *,
    clip: str,
    capacity: int,
    bound: Bound,
    seconds: float,
) -> dict[str, object]:
    """Flood the server, then go back to what it can take.

    The cameras of the flood go on sending without answers, until the server rejects; those of the
    project's clients would drop what they cannot send.

    Args:
        target: to be flooded.
        detector: connected to it.
        clip: that every camera shows.
        capacity: cameras that it can take.
        bound: of each.
        seconds: length of the flood.

    Returns:
        Outcomes and latency of the flood, the server's memory in MB during it, an error message
        of each kind, and the seconds until every frame was answered within the bound again, or
        None where that did not come.

    Raises:
        ServerError: the server did not survive.
    """
    usual = max(1, capacity)
    flood = FACTOR * usual
    where = target.url, detector.model.name
    used_mb = []
    with (
        Cameras(*where, clip=clip, bound=bound) as afterwards,
        Cameras(*where, clip=clip, bound=bound, in_flight=IN_FLIGHT // flood + 1) as flooding,
    ):
        afterwards.make_ready(usual)
        with contextlib.ExitStack() as after:
            with flooding.showing(flood) as records:
                for _ in range(max(1, round(seconds / _SAMPLE_S))):
                    time.sleep(_SAMPLE_S)
                    used_mb.append(round(memory_mb(target.pids), 1))
                detector.statistics()  # It is alive.
                ended_s = time.perf_counter()
                # What the flood has on its way is still in the way of the others.
                recovered = after.enter_context(afterwards.showing(usual))
            time.sleep(max(0.0, ended_s + RECOVERY_S - time.perf_counter()))
    flooded = [record for record in records if record.scheduled_s < ended_s]
    latencies_ms = [1000 * r.latency_s for r in flooded if r.latency_s is not None]
    return {
        "cameras": flood,
        "seconds": seconds,
        "outcomes": dict(Counter(record.outcome for record in flooded)),
        "messages": {r.outcome: r.message for r in flooded if r.message is not None},
        "p99_ms": round(float(np.percentile(latencies_ms, 99)), 1) if latencies_ms else None,
        "server_memory_mb": used_mb,
        "recovery_s": _recovery_s([(r.scheduled_s - ended_s, r.outcome) for r in recovered]),
    }


def said(figures: Figures) -> str:
    """What became of the flood, for people."""
    memory_mb = figures["server_memory_mb"]
    later_mb = memory_mb[len(memory_mb) // 2 :]
    counts = Counter[str](figures["outcomes"])
    shares = (f"{count / counts.total():.0%} {outcome}" for outcome, count in counts.most_common())
    told = [
        f"Flooded by {figures['cameras']} cameras that do not wait for answers, for "
        f"{figures['seconds']:g} s: {', '.join(shares)}"
    ]
    if max(later_mb) > 0:
        told.append(
            f"the server's memory was {min(later_mb):.0f} to {max(later_mb):.0f} MB in the "
            "second half"
        )
    if figures["recovery_s"] is None:
        told.append("afterwards it did not recover while it was watched")
    else:
        told.append(
            f"{figures['recovery_s']:.1f} s afterwards every frame was answered within the bound "
            "again (bar: 2 s)"
        )
    return f"{'; '.join(told)}."


def _recovery_s(outcomes: list[tuple[float, str]]) -> float | None:
    """When the last frame was not answered in time; None where that went on until the end.

    Args:
        outcomes: of each frame after the flood: seconds since its end, and what became of it.
    """
    last_s = max((second for second, outcome in outcomes if outcome != ANSWERED), default=0.0)
    return round(last_s, 2) if last_s < RECOVERY_S - _WELL_S else None
