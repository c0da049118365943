"""What is asked of a server at a time: which requests, and how many at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Transport = Literal["grpc", "system", "cuda"]
"""Tensors inside gRPC messages, or beside them in the memory of the machine or of its GPU."""

Size = tuple[int, int]
"""Height and width in pixels."""

DOWNSCALED: Size = (360, 640)
"""A frame as the project's client sends it."""


@dataclass(frozen=True)
class Point:
    """One measurement.

    Attributes:
        model: Asked for.
        transport: How tensors travel.
        concurrency: Requests on their way at once.
        batch: Frames a request.
        size: Of the frames.
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
