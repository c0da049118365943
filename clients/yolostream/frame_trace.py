"""What happens to one frame, and when, for the frames that somebody wants to follow.

Nothing here knows who reads it: times and numbers as OpenTelemetry has them, and no more than that.
"""

from __future__ import annotations

import contextlib
import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

Value = str | int | float

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
    """So are those that took longer from their decoding to their last output, and those that fail;
    of both, one a second at most. The server's part is not known of them."""


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

    def answered(self, at_ns: int, error: BaseException | None) -> None:
        """The answer to its request came, at a Unix time in nanoseconds."""
        if self._request is not None:
            request = replace(self._request, end_ns=at_ns, error=self._name_of(error))
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

    def _begin_request(self, frames: int) -> SpanId:
        now_ns = time.time_ns()
        self._add("wait", self._came_ns, now_ns)
        attributes: dict[str, Value] = {"yolostream.batch.size": frames}
        self._request = Span("request", self._new_id(), now_ns, now_ns, attributes)
        return self._request.id

    def _link_request(self, links: Iterable[SpanId]) -> None:
        if self._request is not None:
            self._request = replace(self._request, links=tuple(links))

    def _add(
        self, name: str, start_ns: int, end_ns: int, error: BaseException | None = None
    ) -> None:
        span = Span(name, self._new_id(), start_ns, end_ns, error=self._name_of(error))
        self._parts.append(span)

    def _new_id(self) -> SpanId:
        return SpanId(self._root.id.trace, _new_number(64))

    def _name_of(self, error: BaseException | None) -> str:
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


def begin_request(traces: Iterable[FrameTrace | None], frames: int) -> str | None:
    """Frames are about to be sent together.

    The request is part of the trace of the first one that is sampled. Those of the others are
    linked with it, and it with theirs.

    Args:
        traces: of those that are followed; the others are None.
        frames: how many there are.

    Returns:
        What the server is to be told, so that it follows the request, too; None where none of the
        frames is sampled.
    """
    followed = [trace for trace in traces if trace is not None]
    if not followed:
        return None
    requests = [(trace, trace._begin_request(frames)) for trace in followed]
    sampled = [(trace, id_) for trace, id_ in requests if trace.is_sampled]
    if not sampled:
        return None
    leader, led_by = sampled[0]
    leader._link_request(id_ for _, id_ in sampled[1:])
    for trace, _ in requests:
        if trace is not leader:
            trace._link_request([led_by])
    return led_by.traceparent


def _new_number(bits: int) -> int:
    return random.getrandbits(bits) or 1
