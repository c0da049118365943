"""From sources to outputs: decode, detect, track, draw and write, all at the same time.

Each source has a lane of two threads. The reader decodes and sends; the writer takes the answers
in order, tracks, draws and writes. Between them wait at most `in_flight` frames, so that a slow
server or a slow disk holds the reader back instead of filling memory, and no source can crowd
out the others.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from yolostream.client.detector import Detector
from yolostream.client.pending import Pending
from yolostream.detections import Detections
from yolostream.errors import YolostreamError
from yolostream.frame import Frame
from yolostream.gpu_memory import on_host
from yolostream.image import Image
from yolostream.outputs.output import Output
from yolostream.pipeline.drawing import Painter
from yolostream.pipeline.selection import Selection
from yolostream.pipeline.stages import Clock
from yolostream.pipeline.tracking import Tracker
from yolostream.sources import Source

IN_FLIGHT = 3
"""Frames of one source on their way at once: one in each step of the ensemble."""

_POLL_S = 0.2


@dataclass
class Lane:
    """The way of one source, and what is known of it so far."""

    source: Source
    outputs: list[Output]
    tracker: Tracker | None
    painter: Painter | None
    frames_done: int = 0
    objects_found: int = 0
    tracks: set[int] = field(default_factory=set)
    elapsed_s: float = 0.0
    error: Exception | None = None
    clock: Clock = field(default_factory=Clock)


def run(
    lanes: list[Lane],
    detector: Detector,
    *,
    selection: Selection = Selection(),  # noqa: B008  # frozen
    in_flight: int = IN_FLIGHT,
    on_tick: Callable[[], None] = lambda: None,
) -> None:
    """Run all lanes to their ends. A lane that fails keeps its error; the others go on.

    Args:
        lanes: one a source; their numbers grow while they run.
        detector: shared by all, with room for `in_flight` frames a lane.
        selection: which frames and objects count.
        in_flight: frames of one lane on their way at once.
        on_tick: called several times a second, in the caller's thread.
    """
    stop = threading.Event()
    runners = [_Runner(lane, detector, selection, in_flight, stop) for lane in lanes]
    try:
        for runner in runners:
            runner.start()
        while any(runner.is_alive() for runner in runners):
            on_tick()
            time.sleep(_POLL_S)
    finally:
        # On Ctrl-C the lanes still finish their files before anybody leaves.
        stop.set()
        for runner in runners:
            runner.join()
        on_tick()
    for lane in lanes:
        if lane.error is not None and not isinstance(lane.error, YolostreamError):
            raise lane.error


class _Runner:
    """The two threads of a lane."""

    def __init__(
        self,
        lane: Lane,
        detector: Detector,
        selection: Selection,
        in_flight: int,
        stop: threading.Event,
    ) -> None:
        self._lane = lane
        self._detector = detector
        self._selection = selection
        self._stop_all = stop
        self._failed = threading.Event()
        self._on_the_way: queue.Queue[tuple[Frame, Pending] | None] = queue.Queue(in_flight)
        self._threads = [
            threading.Thread(target=target, name=f"{lane.source.name}-{role}", daemon=True)
            for role, target in (("reader", self._read), ("writer", self._write))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def is_alive(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def join(self) -> None:
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _stopped(self) -> bool:
        return self._stop_all.is_set() or self._failed.is_set()

    def _fail(self, error: Exception) -> None:
        self._lane.error = self._lane.error or error
        self._failed.set()

    def _read(self) -> None:
        clock = self._lane.clock
        frames = self._selection.frames(self._lane.source)
        try:
            while not self._stopped():
                with clock.stage("decode"):
                    frame = next(frames, None)
                if frame is None:
                    break
                self._hand_over((frame, self._detector.submit(frame.image)))
        except Exception as error:
            # What is on its way still gets written: the source failed, not its frames.
            self._lane.error = self._lane.error or error
        finally:
            self._hand_over(None)
            self._lane.source.close()

    def _hand_over(self, item: tuple[Frame, Pending] | None) -> None:
        while True:
            try:
                return self._on_the_way.put(item, timeout=_POLL_S)
            except queue.Full:
                if self._failed.is_set():
                    return

    def _write(self) -> None:
        started = time.perf_counter()
        try:
            while (item := self._on_the_way.get()) is not None:
                self._finish(*item)
                self._lane.frames_done += 1
                self._lane.elapsed_s = time.perf_counter() - started
        except Exception as error:
            self._fail(error)
        finally:
            self._close_outputs()
            self._lane.elapsed_s = time.perf_counter() - started

    def _finish(self, frame: Frame, pending: Pending) -> None:
        lane, clock = self._lane, self._lane.clock
        detections = self._selection.objects(pending.result())
        clock.add_request(shrink_s=pending.shrink_s, request_s=pending.request_s)
        if lane.tracker is not None:
            with clock.stage("track"):
                detections = lane.tracker.update(detections)
        annotated = self._annotated(frame, detections)
        with clock.stage("encode"):
            for output in lane.outputs:
                output.write(frame, annotated, detections)
        lane.objects_found += len(detections)
        if detections.track_ids is not None:
            lane.tracks.update(detections.track_ids[detections.track_ids > 0].tolist())

    def _annotated(self, frame: Frame, detections: Detections) -> Image:
        if self._lane.painter is None:
            # Nobody looks at it, so it stays where it is, in GPU memory too.
            return frame.image  # type: ignore[return-value]
        with self._lane.clock.stage("draw"):
            return self._lane.painter.draw(on_host(frame.image), detections)

    def _close_outputs(self) -> None:
        for output in self._lane.outputs:
            try:
                output.close()
            except YolostreamError as error:
                self._fail(error)
