"""Runs sources in this process: decode, detect, track, draw and write, all at the same time.

A source has a thread that decodes, one that tracks and draws, and one for each output. One more
sends the frames of all. What lies between them is bounded, so that a slow server or a slow disk
holds a file back instead of filling memory, and costs a camera frames, but never its connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from yolostream.client.detector import Detector
from yolostream.errors import YolostreamError
from yolostream.pipeline.capture import Capture, Openings
from yolostream.pipeline.dispatcher import Batching, Dispatcher
from yolostream.pipeline.plan import Plan
from yolostream.pipeline.status import Status
from yolostream.pipeline.stream import Stream
from yolostream.sources import EVERYTHING, Reading

STOP_TIMEOUT_S = 4.0
"""How long what is on its way may take once somebody wants to stop."""

_POLL_S = 0.2

OnTick = Callable[[list[Status]], None]


def run(
    plans: Sequence[Plan],
    detector: Detector,
    *,
    batching: Batching = Batching(),  # noqa: B008  # frozen
    reading: Reading = EVERYTHING,
    should_stop: Callable[[], bool] = lambda: False,
    on_tick: OnTick = lambda statuses: None,
) -> list[Status]:
    """Run all sources to their ends. One that fails keeps its error; the others go on.

    On `KeyboardInterrupt`, and where `should_stop` says so, they stop: what was sent is still
    written, for `STOP_TIMEOUT_S` at most, and files are whole whatever happens.

    Args:
        plans: one a source.
        detector: shared by all.
        batching: how frames of several sources are sent together.
        reading: how much of the sources is made into pictures.
        should_stop: asked several times a second.
        on_tick: called as often, in the caller's thread, with the figures of each source.

    Returns:
        The last figures of each source.
    """
    dispatcher = Dispatcher(detector, batching)
    streams = [Stream(plan, detector, on_ready=dispatcher.wake) for plan in plans]
    openings = Openings()
    for stream in streams:
        Capture(stream, reading, openings)
        dispatcher.add(stream)
    dispatcher.close()
    try:
        while any(stream.is_alive for stream in streams) and not should_stop():
            on_tick([stream.snapshot() for stream in streams])
            _wait(streams, time.monotonic() + _POLL_S)
    finally:
        stop(streams)
        statuses = [stream.snapshot() for stream in streams]
        on_tick(statuses)
    return statuses


def _wait(streams: Sequence[Stream], deadline: float) -> None:
    for stream in streams:
        stream.join(max(0.0, deadline - time.monotonic()))


def stop(streams: Sequence[Stream], *, timeout_s: float = STOP_TIMEOUT_S) -> None:
    """Let everybody finish what is on its way, and leave behind who does not."""
    for stream in streams:
        stream.stop.set()
        stream.mailbox.close(discard=True)
    deadline = time.monotonic() + timeout_s
    _wait(streams, deadline - timeout_s / 4)
    for stream in streams:
        stream.outputs.close()
    for stream in streams:
        stream.outputs.join(deadline)


def raise_defects(statuses: Sequence[Status]) -> None:
    """Whatever is no error of ours is a defect, and wants a traceback."""
    for status in statuses:
        for error in status.errors:
            if not isinstance(error, YolostreamError):
                raise error
