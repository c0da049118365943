"""Runs sources in this process: decodes, detects, tracks, draws and writes concurrently.

A source has a thread that decodes, one that tracks and draws, and one for each output. Another
thread sends the frames of all sources. All queues between them are bounded. So a slow server or a
slow disk makes a file wait instead of filling memory; a camera loses frames, but not its
connection.
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
"""Seconds that the frames in flight may take after a stop."""

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
    """Run all sources to their ends. The error of a failed source is in its status; others go on.

    On `KeyboardInterrupt`, or when `should_stop` returns true, all sources stop. Frames in flight
    are still written, for up to `STOP_TIMEOUT_S`. Files are complete in any case.

    Args:
        plans: one plan for each source.
        detector: shared by all sources.
        batching: how frames of several sources are combined into requests.
        reading: which frames are decoded, and in which size.
        should_stop: called several times a second.
        on_tick: called as often, in the caller's thread, with the status of each source.

    Returns:
        The last status of each source.
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
    """Let streams finish the frames in flight, and abandon the threads that take too long."""
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
    """Raise the first error that is no `YolostreamError`: it is a defect that needs a traceback."""
    for status in statuses:
        for error in status.errors:
            if not isinstance(error, YolostreamError):
                raise error
