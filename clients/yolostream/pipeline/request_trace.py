"""One request in the traces of all frames that it carries."""

from __future__ import annotations

from collections.abc import Iterable

from yolostream.frame_trace import FrameTrace


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
