"""Samples the frames of a source that are traced."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from yolostream.frame_trace import DROPPED, FrameTrace, Trace
from yolostream.spans import Span, SpanId, Value, new_number

_PAUSE_S = 1.0
"""Shortest interval between kept traces of slow or failed frames of a source. It limits the number
of traces when all frames are slow or fail."""


@dataclass(frozen=True)
class Sampling:
    """Which frames of a source are traced."""

    every: int
    """One frame in so many is traced, beginning with the first."""
    slow_s: float = math.inf
    """Frames that take longer than this, in seconds from decoding to the last output, are traced
    too, and so are failed ones; at most one per second. These have no spans of the server."""


class FrameTraces:
    """Traces the frames of one source.

    Args:
        source: name of the source.
        sampling: which frames are traced.
        keep: called with each trace that is kept.
    """

    def __init__(self, source: str, sampling: Sampling, keep: Callable[[Trace], None]) -> None:
        self._source = source
        self._sampling = sampling
        self._keep = keep
        self._begun = 0
        self._silent_until = 0.0

    def begin(self, start_ns: int, index: int) -> FrameTrace:
        """Begin the trace of a frame that was just decoded.

        Args:
            start_ns: Unix time in nanoseconds when reading the frame began.
            index: number of the frame in the source.
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
        """Why a trace that is not sampled is kept: `slow` or `failed`; empty if it is not kept."""
        root, capture = trace.root, trace.parts[0]
        is_slow = (root.end_ns - capture.end_ns) / 1e9 > self._sampling.slow_s
        # Dropped frames are not slow frames; they are counted elsewhere.
        is_slow = is_slow and DROPPED not in root.attributes
        if not (is_slow or root.error) or time.monotonic() < self._silent_until:
            return ""
        self._silent_until = time.monotonic() + _PAUSE_S
        return "failed" if root.error else "slow"
