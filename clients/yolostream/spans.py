"""What took a while, with times and numbers as OpenTelemetry has them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

Value = str | int | float


def new_number(bits: int) -> int:
    """A random number of so many bits, which is not 0."""
    return random.getrandbits(bits) or 1


@dataclass(frozen=True)
class SpanId:
    """What a span is known by, everywhere."""

    trace: int
    """128 bits, not 0."""
    span: int
    """64 bits, not 0."""

    @property
    def traceparent(self) -> str:
        """As a header of W3C's Trace Context; who gets it is to follow, too."""
        return f"00-{self.trace:032x}-{self.span:016x}-01"


@dataclass(frozen=True)
class Span:
    """Something that took a while."""

    name: str
    id: SpanId
    start_ns: int
    """Unix time in nanoseconds."""
    end_ns: int
    attributes: dict[str, Value] = field(default_factory=dict)
    error: str = ""
    """The name of what was raised; empty where all went well."""
    links: tuple[SpanId, ...] = ()
    """Spans of other frames that were the same work."""
