"""What is measured."""

from __future__ import annotations

from loadtest.gpu.model_folders import ENSEMBLE
from loadtest.perf.points import DOWNSCALED, Point, Size, Transport

FULL_HD: Size = (1080, 1920)
CAMERA_FPS = 30
STAGES_BATCH = 16


def _point(
    concurrency: int, batch: int = 1, *, by: Transport = "system", size: Size = DOWNSCALED
) -> Point:
    return Point(ENSEMBLE, by, concurrency, batch, size)


POINTS: dict[str, Point] = {
    "one_stream": _point(1),
    "one_stream_awake": _point(1),
    "four_in_flight": _point(4),
    "streams": _point(64),
    "batches": _point(8, 8),
    "full_hd_system": _point(32, size=FULL_HD),
    "full_hd_system_batches": _point(8, 8, size=FULL_HD),
    "full_hd_cuda": _point(32, by="cuda", size=FULL_HD),
    "full_hd_cuda_batches": _point(8, 8, by="cuda", size=FULL_HD),
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
