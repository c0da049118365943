"""What happens to one frame, and when, for the frames that somebody wants to follow."""

from __future__ import annotations

import contextlib
import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from yolostream.spans import Span, SpanId, Value

_DROPPED = "yolostream.dropped"
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


@dataclass(frozen=True)
class Trace:
    """A frame that was followed to its end. It can be pickled."""

    root: Span
    parts: tuple[Span, ...]


class FrameTrace:
    """Follows one frame, until all who hold it have let go. Whoever makes it holds it.

    Args:
        root: the whole way of the frame; its end is not known yet.
        is_sampled: whether it is kept, whatever comes.
        on_end: gets what was seen, and whether it is sampled.
    """

    def __init__(
        self, root: Span, *, is_sampled: bool, on_end: Callable[[Trace, bool], None]
    ) -> None:
        self.is_sampled = is_sampled
        self.error = ""
        """The name of what went wrong; empty where nothing did."""
        self._root = root
        self._on_end = on_end
        self._parts: list[Span] = []
        self._came_ns = root.start_ns
        self._request: Span | None = None
        self._holders = 1
        # Outputs are written by threads of their own.
        self._lock = threading.Lock()

    def hold(self) -> None:
        """Somebody more has something to do with the frame."""
        with self._lock:
            self._holders += 1

    def release(self) -> None:
        """Somebody is done with it."""
        with self._lock:
            self._holders -= 1
            if self._holders:
                return
        root = replace(self._root, end_ns=time.time_ns(), error=self.error)
        self._on_end(Trace(root, tuple(self._parts)), self.is_sampled)

    def note(self, name: str, value: Value) -> None:
        """Say something of the whole frame."""
        self._root.attributes[name] = value

    def captured(self) -> None:
        """It was decoded, and waits from now on."""
        self._came_ns = time.time_ns()
        self._add("capture", self._root.start_ns, self._came_ns)

    def dropped(self, cause: str) -> None:
        """It will not be sent."""
        self._add("wait", self._came_ns, time.time_ns())
        self.note(_DROPPED, cause)
        self.release()

    def begin_request(self, frames: int) -> SpanId:
        """It is about to be sent, with so many frames in all."""
        now_ns = time.time_ns()
        self._add("wait", self._came_ns, now_ns)
        attributes: dict[str, Value] = {"yolostream.batch.size": frames}
        self._request = Span("request", self._new_id(), now_ns, now_ns, attributes)
        return self._request.id

    def link_request(self, links: Iterable[SpanId]) -> None:
        """Its request is the same work as those of other frames."""
        if self._request is not None:
            self._request = replace(self._request, links=tuple(links))

    def answered(self, at_ns: int, error: BaseException | None) -> None:
        """The answer to its request came, at a Unix time in nanoseconds."""
        if self._request is not None:
            request = replace(self._request, end_ns=at_ns, error=self._noted(error))
            self._request = None
            self._parts.append(request)

    @contextlib.contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Note what the block takes, and whether it raises."""
        start_ns, error = time.time_ns(), None
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._add(name, start_ns, time.time_ns(), error)

    def _add(
        self, name: str, start_ns: int, end_ns: int, error: BaseException | None = None
    ) -> None:
        span = Span(name, self._new_id(), start_ns, end_ns, error=self._noted(error))
        self._parts.append(span)

    def _new_id(self) -> SpanId:
        return SpanId(self._root.id.trace, _new_number(64))

    def _noted(self, error: BaseException | None) -> str:
        """The name of an error, which is that of the whole frame from now on."""
        if error is None:
            return ""
        # Its words may have an address in them.
        self.error = type(error).__name__
        return self.error


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
        id_ = SpanId(_new_number(128), _new_number(64))
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
        is_slow = is_slow and _DROPPED not in root.attributes
        if not (is_slow or root.error) or time.monotonic() < self._silent_until:
            return ""
        self._silent_until = time.monotonic() + _PAUSE_S
        return "failed" if root.error else "slow"


_NOBODY = contextlib.nullcontext()


def span(trace: FrameTrace | None, name: str) -> contextlib.AbstractContextManager[None]:
    """`FrameTrace.span`, of a frame that perhaps nobody follows."""
    return _NOBODY if trace is None else trace.span(name)


def _new_number(bits: int) -> int:
    return random.getrandbits(bits) or 1
