"""What is measured, and what is asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from loadtest.gpu.model_folders import ENSEMBLE
from loadtest.perf.points import DOWNSCALED, Point, Size, Transport

FULL_HD: Size = (1080, 1920)
CAMERA_FPS = 30
CAMERA_P99_MS = 33.0
STAGES_BATCH = 16

Figures = dict[str, Any]
"""Of one profile, as `loadtest.gpu.measuring` collects them: `bare`, and what `rows` measured."""


@dataclass(frozen=True)
class Bar:
    """A number, and on which side of it a value has to be.

    Attributes:
        side: `at least` or `at most`.
        value: The number.
        unit: After it, as people read it.
        digits: Of a value, behind the point.
    """

    side: Literal["at least", "at most"]
    value: float
    unit: str = ""
    digits: int = 2

    def met(self, value: float) -> bool:
        """Whether a value is on the right side."""
        return value >= self.value if self.side == "at least" else value <= self.value

    def said(self, value: float) -> str:
        """A value as people read it."""
        return f"{value:.{self.digits}f}{self.unit}"

    def __str__(self) -> str:
        """The bar as people read it."""
        return f"{self.side} {self.said(self.value)}"


def _point(
    concurrency: int, batch: int = 1, *, by: Transport = "system", size: Size = DOWNSCALED
) -> Point:
    return Point(ENSEMBLE, by, concurrency, batch, size)


def _full_hd(by: Transport) -> dict[str, Point]:
    name = f"full_hd_{by}"
    return {
        name: _point(32, by=by, size=FULL_HD),
        f"{name}_batches": _point(8, 8, by=by, size=FULL_HD),
    }


POINTS: dict[str, Point] = {
    "one_stream": _point(1),
    "one_stream_awake": _point(1),
    "four_in_flight": _point(4),
    "streams": _point(64),
    "batches": _point(8, 8),
    **_full_hd("system"),
    **_full_hd("cuda"),
}
"""Closed-loop loads, by row: so many requests are on their way at once."""

AWAKE_ROWS = ("one_stream_awake",)
"""Measured while no core sleeps, as `yolostream serve --keep-awake` has it."""

OTHER_ROWS = ("client", "cameras", "stages", "memory")
ROWS = (*POINTS, *OTHER_ROWS)


def of_profile(*, on_gpu: bool) -> tuple[str, ...]:
    """Rows that can be measured; without a GPU there is no camera that holds 33 ms."""
    cuda = [name for name, point in POINTS.items() if point.transport == "cuda"]
    return tuple(row for row in ROWS if on_gpu or row not in (*cuda, *OTHER_ROWS))
