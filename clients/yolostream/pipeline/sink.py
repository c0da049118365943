"""Runs one output of a source on its own thread."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from yolostream.detections import Detections
from yolostream.frame import Frame
from yolostream.frame_trace import span
from yolostream.image import Image
from yolostream.outputs.output import Output
from yolostream.pipeline.status import SinkCounts
from yolostream.pipeline.timing import Durations

CAPACITY = 4
"""Results that wait for one output. They buffer the delays of a disk, and cost memory."""


@dataclass(frozen=True)
class Result:
    """The detections of one frame."""

    frame: Frame
    annotated: Image
    """uint8 [H, W, 3], RGB, with the detections drawn; the frame's own image if no output draws."""
    detections: Detections


class Sink:
    """Writes results to an output, in order, without delaying other outputs.

    After an error, the output is closed and gets no more results. What it has written is kept.

    Args:
        output: the output. Only this sink's thread writes to it and closes it.
        name: name of the thread.
        drops: whether results are dropped if the output is too slow. Otherwise the source waits.
    """

    def __init__(self, output: Output, *, name: str, drops: bool) -> None:
        self.error: Exception | None = None
        self._counts = SinkCounts()
        self.writing = Durations()
        """Time to write each frame."""
        self.ages = Durations()
        """Time from decoding a frame until it was written."""
        self._output = output
        self._step = f"write {output.kind}"
        self._drops = drops
        self._results: queue.SimpleQueue[Result | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(CAPACITY)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def kind(self) -> str:
        """The kind of the output, such as `jsonl`."""
        return self._output.kind

    @property
    def counts(self) -> SinkCounts:
        """Numbers of results that were written, dropped and failed."""
        counts, lost = self._counts, self._output.lost
        return replace(counts, written=counts.written - lost, failed=counts.failed + lost)

    @property
    def failed(self) -> bool:
        """Whether the output has failed."""
        return self.error is not None

    @property
    def draws(self) -> bool:
        """Whether the output needs the annotated picture at the moment."""
        return self._output.draws and not self.failed

    def put(self, result: Result) -> None:
        """Pass a result to the output; wait for room, or drop it if the sink drops."""
        if self._room.acquire(blocking=not self._drops):
            if result.frame.trace is not None:
                result.frame.trace.hold()
            self._results.put(result)
        else:
            self._counts.dropped += 1

    def close(self) -> None:
        """Accept no more results; those that wait are still written. See `join`."""
        self._results.put(None)

    def join(self, timeout_s: float) -> None:
        """Wait until the output is closed."""
        self._thread.join(None if timeout_s == math.inf else max(0.0, timeout_s))

    def _run(self) -> None:
        while (result := self._results.get()) is not None:
            self._attempt(partial(self._write, result))
            if result.frame.trace is not None:
                result.frame.trace.release()
            self._room.release()
        if not self.failed:
            self._attempt(self._output.close)

    def _write(self, result: Result) -> None:
        if self.failed:
            self._counts.failed += 1
            return
        started = time.perf_counter()
        try:
            with span(result.frame.trace, self._step):
                self._output.write(result.frame, result.annotated, result.detections)
        except BaseException:
            self._counts.failed += 1
            raise
        self.writing.add(time.perf_counter() - started)
        self.ages.add(result.frame.age_s)
        self._counts.written += 1

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            # Any error ends this output only.
            self.error = error
            with contextlib.suppress(Exception):
                self._output.close()
