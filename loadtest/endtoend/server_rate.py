"""What the server answers by itself: the rate that everything else is divided by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from yolostream import Detector

from loadtest.errors import LoadTestError, PerfAnalyzerError
from loadtest.gpu.bench import say
from loadtest.gpu.measuring import line
from loadtest.gpu.model_folders import ENSEMBLE
from loadtest.perf import binary, inputs
from loadtest.perf.points import DOWNSCALED, Point, Size
from loadtest.perf.process import Load, measure
from loadtest.rate import rate

ON_GPU = tuple(
    Point(ENSEMBLE, by, concurrency, batch)
    for by in ("system", "cuda")
    for concurrency, batch in ((64, 1), (8, 8))
)
ON_CPU = (Point(ENSEMBLE, "system", 8), Point(ENSEMBLE, "system", 4, 2))
"""Fewer: a CPU's queue holds 32 frames, and more would be rejected."""

_WARM_UP = 20
_WINDOWS = 3


@dataclass(frozen=True)
class OwnRate:
    """Finds how much a server can answer.

    Attributes:
        url: gRPC address of the server.
        on_gpu: Whether it computes on one.
        window_s: Length of each of the three windows of a point, in seconds.
        load_of: What perf_analyzer sends, by size; None where there is no perf_analyzer.
        lack: Why there is none.
    """

    url: str
    on_gpu: bool
    window_s: float
    load_of: Callable[[Size], Load] | None
    lack: str = ""

    def measure(self, raw: Path) -> dict[str, Any]:
        """Measure; `raw` is made for what perf_analyzer writes.

        Returns:
            `asked_by`, and why it was not perf_analyzer; `frames_per_s`, of the best point; and
            `points`, by label, with what perf_analyzer told or the words that it failed with.

        Raises:
            LoadTestError: Nothing could be measured.
            ServerError: The server is away.
        """
        points = ON_GPU if self.on_gpu else ON_CPU
        if self.load_of is None:
            measured = {point.label: self._in_flight(point) for point in points[:1]}
            told = {"asked_by": "yolostream.Detector", "lack": self.lack}
        else:
            load = self.load_of(DOWNSCALED)
            measured = {
                point.label: measure(load, point, raw / point.label, window_s=self.window_s)
                for point in points
            }
            told = {"asked_by": "perf_analyzer", "lack": ""}
        for label, one in measured.items():
            say(f"the server alone, {label}: {line(one) if 'latency_ms' in one else one}")
        rates = [one["frames_per_s"] for one in measured.values() if "frames_per_s" in one]
        if not rates:
            raise LoadTestError(f"the server alone could not be measured: {measured}")
        return {**told, "frames_per_s": round(max(rates), 2), "points": measured}

    def _in_flight(self, point: Point) -> dict[str, Any]:
        """The same with the project's own client."""
        frames = cycle(inputs.frames(point.size))
        with Detector(self.url, ENSEMBLE, max_in_flight=point.concurrency) as detector:
            found = rate(
                detector.stream(frames, in_flight=point.concurrency),
                _WINDOWS * self.window_s,
                warm_up=_WARM_UP,
            )
            return {"frames_per_s": round(found, 2), "transport": detector.transport}


def own_rate(url: str, *, on_gpu: bool, window_s: float, environment: Path, work: Path) -> OwnRate:
    """Make ready what asks: perf_analyzer, or where there is none our own client.

    Raises:
        ServerError: The server does not describe the ensemble.
    """
    libraries = work / "libraries"
    libraries.mkdir()
    try:
        perf = binary.ready(libraries, server_environment=environment)
    except PerfAnalyzerError as error:
        say(f"no perf_analyzer, so our own client asks: {error}")
        return OwnRate(url, on_gpu, window_s, None, str(error))
    return OwnRate(url, on_gpu, window_s, inputs.loads(perf, url, ENSEMBLE, work))
