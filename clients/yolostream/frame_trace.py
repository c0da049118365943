"""Records the trace of one frame, as OpenTelemetry spans."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from yolostream.spans import Span, SpanId, Value, new_number

DROPPED = "yolostream.dropped"
"""Name of the attribute with the cause why a frame was dropped."""


@dataclass(frozen=True)
class Trace:
    """The complete trace of a frame. It can be pickled."""

    root: Span
    """The span of the whole frame."""
    parts: tuple[Span, ...]
    """Its child spans."""


class FrameTrace:
    """Records the trace of one frame. It is reference-counted, and ends with the last `release`.

    The count starts at 1.

    Args:
        root: the span of the whole frame, without its end.
        is_sampled: whether the trace is kept in any case.
        on_end: called at the end, with the trace and `is_sampled`.
    """

    def __init__(
        self, root: Span, *, is_sampled: bool, on_end: Callable[[Trace, bool], None]
    ) -> None:
        self.is_sampled = is_sampled
        self.error = ""
        """Class name of the frame's error; empty if there is none."""
        self._root = root
        self._on_end = on_end
        self._parts: list[Span] = []
        self._came_ns = root.start_ns
        self._request: Span | None = None
        self._holders = 1
        # Each output has a thread of its own, which holds and releases the trace.
        self._lock = threading.Lock()

    def hold(self) -> None:
        """Add a reference."""
        with self._lock:
            self._holders += 1

    def release(self) -> None:
        """Remove a reference; the last one ends the trace."""
        with self._lock:
            self._holders -= 1
            if self._holders:
                return
        root = replace(self._root, end_ns=time.time_ns(), error=self.error)
        self._on_end(Trace(root, tuple(self._parts)), self.is_sampled)

    def note(self, name: str, value: Value) -> None:
        """Set an attribute of the whole frame."""
        self._root.attributes[name] = value

    def captured(self) -> None:
        """Note that the frame was decoded, and now waits to be sent."""
        self._came_ns = time.time_ns()
        self._add("capture", self._root.start_ns, self._came_ns)

    def dropped(self, cause: str) -> None:
        """Note that the frame will not be sent, and release it."""
        self._add("wait", self._came_ns, time.time_ns())
        self.note(DROPPED, cause)
        self.release()

    def begin_request(self, frames: int) -> SpanId:
        """Note that the frame is being sent, in a batch of so many frames; return the span's id."""
        now_ns = time.time_ns()
        self._add("wait", self._came_ns, now_ns)
        attributes: dict[str, Value] = {"yolostream.batch.size": frames}
        self._request = Span("request", self._new_id(), now_ns, now_ns, attributes)
        return self._request.id

    def link_request(self, links: Iterable[SpanId]) -> None:
        """Link the request's span to those of the other frames in the batch."""
        if self._request is not None:
            self._request = replace(self._request, links=tuple(links))

    def answered(self, at_ns: int, error: BaseException | None) -> None:
        """Note the answer to the request, at a Unix time in nanoseconds."""
        if self._request is not None:
            request = replace(self._request, end_ns=at_ns, error=self._noted(error))
            self._request = None
            self._parts.append(request)

    @contextlib.contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Record the block as a span, with its error if it raises one."""
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
        return SpanId(self._root.id.trace, new_number(64))

    def _noted(self, error: BaseException | None) -> str:
        """The class name of an error, which becomes the error of the whole frame."""
        if error is None:
            return ""
        # Not its message, which may contain an address with a password.
        self.error = type(error).__name__
        return self.error


_NOBODY = contextlib.nullcontext()


def span(trace: FrameTrace | None, name: str) -> contextlib.AbstractContextManager[None]:
    """`FrameTrace.span` for a frame that may not be traced; then it does nothing."""
    return _NOBODY if trace is None else trace.span(name)
