"""What happens to one frame, and when, for the frames that somebody wants to follow."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from yolostream.spans import Span, SpanId, Value, new_number

DROPPED = "yolostream.dropped"
"""Attribute of a frame that was not sent: the cause."""


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
        self.note(DROPPED, cause)
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
        return SpanId(self._root.id.trace, new_number(64))

    def _noted(self, error: BaseException | None) -> str:
        """The name of an error, which is that of the whole frame from now on."""
        if error is None:
            return ""
        # Its words may have an address in them.
        self.error = type(error).__name__
        return self.error


_NOBODY = contextlib.nullcontext()


def span(trace: FrameTrace | None, name: str) -> contextlib.AbstractContextManager[None]:
    """`FrameTrace.span`, of a frame that perhaps nobody follows."""
    return _NOBODY if trace is None else trace.span(name)
