"""What is measured: each point of the sweep, and how long one may take."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, product
from typing import Literal

Transport = Literal["grpc", "system", "cuda"]
"""Tensors inside gRPC messages, or beside them in the memory of the machine or of its GPU."""

Size = tuple[int, int]
"""Height and width in pixels."""

DOWNSCALED: Size = (360, 640)
"""A frame as the project's client sends it."""

_LARGER: tuple[Size, ...] = ((720, 1280), (1080, 1920))


@dataclass(frozen=True)
class Point:
    """One measurement: which requests, and how many at once.

    Attributes:
        model: Asked for.
        transport: How tensors travel.
        concurrency: Requests on their way at once.
        batch: Frames a request.
        size: Of the frames that the ensemble is, or its steps' tensors were, made of.
    """

    model: str
    transport: Transport
    concurrency: int
    batch: int = 1
    size: Size = DOWNSCALED

    @property
    def label(self) -> str:
        """A name for people and files."""
        height, width = self.size
        return (
            f"{self.model}-{self.transport}-{width}x{height}-batch{self.batch}-"
            f"concurrency{self.concurrency}"
        )


def full(
    ensemble: str, stages: Sequence[str], transports: Sequence[Transport]
) -> tuple[Point, ...]:
    """Everything. What is to be compared stands side by side: machines change by the minute."""
    return (
        *(Point(ensemble, by, count) for count, by in product((1, 2, 4, 8, 16), transports)),
        *(Point(ensemble, by, 4, size=size) for size, by in product(_LARGER, transports)),
        *(Point(ensemble, by, 2, batch=batch) for batch, by in product((4, 8), transports)),
        *(Point(stage, by, count) for stage, count, by in product(stages, (1, 4), transports)),
    )


def quick(
    ensemble: str, stages: Sequence[str], transports: Sequence[Transport]
) -> tuple[Point, ...]:
    """Each model once, the transports in turn."""
    return tuple(
        Point(model, by, 2)
        for model, by in zip((ensemble, *stages), cycle(transports), strict=False)
    )


def shared_out(points: Sequence[Point], budget_s: float) -> Iterator[tuple[Point, float]]:
    """Give each point its seconds; what one leaves over is for those that follow."""
    ends = time.monotonic() + budget_s
    for number, point in enumerate(points):
        yield point, max(0.0, ends - time.monotonic()) / (len(points) - number)
