"""Spans with the times and ids of OpenTelemetry."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

Value = str | int | float


def new_number(bits: int) -> int:
    """A random id of so many bits, which is never 0."""
    return random.getrandbits(bits) or 1


@dataclass(frozen=True)
class SpanId:
    """The global id of a span."""

    trace: int
    """Id of the trace: 128 bits, not 0."""
    span: int
    """Id of the span in the trace: 64 bits, not 0."""

    @property
    def traceparent(self) -> str:
        """The header of W3C Trace Context, with the flag "sampled"."""
        return f"00-{self.trace:032x}-{self.span:016x}-01"


@dataclass(frozen=True)
class Span:
    """One operation with its start and end."""

    name: str
    id: SpanId
    start_ns: int
    """Unix time in nanoseconds."""
    end_ns: int
    """Unix time in nanoseconds."""
    attributes: dict[str, Value] = field(default_factory=dict)
    error: str = ""
    """Class name of the exception; empty without one."""
    links: tuple[SpanId, ...] = ()
    """Spans of the other frames in the same batch."""
