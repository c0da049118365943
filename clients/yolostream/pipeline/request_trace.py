"""Adds one request to the traces of all frames in it."""

from __future__ import annotations

from collections.abc import Iterable

from yolostream.frame_trace import FrameTrace


def begin_request(traces: Iterable[FrameTrace | None], frames: int) -> str | None:
    """Begin the span of a request in the traces of its frames.

    The server's spans become part of the trace of the first sampled frame. The spans of the other
    frames are linked with that one, and it with theirs.

    Args:
        traces: the traces of the frames; None for a frame without one.
        frames: number of frames in the request.

    Returns:
        The W3C `traceparent` to send to the server; None if no frame is sampled.
    """
    followed = [trace for trace in traces if trace is not None]
    if not followed:
        return None
    requests = [(trace, trace.begin_request(frames)) for trace in followed]
    sampled = [(trace, id_) for trace, id_ in requests if trace.is_sampled]
    if not sampled:
        return None
    leader, led_by = sampled[0]
    leader.link_request(id_ for _, id_ in sampled[1:])
    for trace, _ in requests:
        if trace is not leader:
            trace.link_request([led_by])
    return led_by.traceparent
