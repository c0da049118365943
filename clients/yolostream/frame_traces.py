"""Which frames of a source are followed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from yolostream.frame_trace import DROPPED, FrameTrace, Trace
from yolostream.spans import Span, SpanId, Value, new_number

_PAUSE_S = 1.0
"""Between two frames of a source that are kept because they were slow or failed: when all are, a
few tell enough."""


@dataclass(frozen=True)
class Sampling:
    """Which frames of a source are followed."""

    every: int
    """One frame in so many, the first one too."""
    slow_s: float = math.inf
    """Frames that take longer from their decoding to their last output are followed, too, and so
    are those that fail: one a second at most. What the server did for them is not known."""


class FrameTraces:
    """Follows the frames of one source.

    Args:
        source: its name.
        sampling: which of them.
        keep: gets those.
    """

    def __init__(self, source: str, sampling: Sampling, keep: Callable[[Trace], None]) -> None:
        self._source = source
        self._sampling = sampling
        self._keep = keep
        self._begun = 0
        self._silent_until = 0.0

    def begin(self, start_ns: int, index: int) -> FrameTrace:
        """Follow a frame from now on.

        Args:
            start_ns: Unix time in nanoseconds at which it began to be waited for.
            index: its number in the source.
        """
        is_sampled = self._begun % self._sampling.every == 0
        self._begun += 1
        attributes: dict[str, Value] = {
            "yolostream.camera": self._source,
            "yolostream.frame.index": index,
        }
        id_ = SpanId(new_number(128), new_number(64))
        root = Span("frame", id_, start_ns, start_ns, attributes)
        trace = FrameTrace(root, is_sampled=is_sampled, on_end=self._ended)
        trace.captured()
        return trace

    def _ended(self, trace: Trace, is_sampled: bool) -> None:
        reason = "sampled" if is_sampled else self._trouble(trace)
        if reason:
            trace.root.attributes["yolostream.traced"] = reason
            self._keep(trace)

    def _trouble(self, trace: Trace) -> str:
        """Why it is worth keeping though it is not sampled; empty where it is not."""
        root, capture = trace.root, trace.parts[0]
        is_slow = (root.end_ns - capture.end_ns) / 1e9 > self._sampling.slow_s
        # What is dropped has its place in the figures.
        is_slow = is_slow and DROPPED not in root.attributes
        if not (is_slow or root.error) or time.monotonic() < self._silent_until:
            return ""
        self._silent_until = time.monotonic() + _PAUSE_S
        return "failed" if root.error else "slow"
