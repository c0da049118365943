"""What a process does that runs some of the cameras: they come and go while it lives."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from typing import Protocol

import numpy as np

from yolostream.client.detector import Detector
from yolostream.errors import ServerError, YolostreamError
from yolostream.frame_trace import FrameTraces, Sampling
from yolostream.outputs.output import Output
from yolostream.pipeline.capture import Capture, Openings
from yolostream.pipeline.dispatcher import Batching, Dispatcher
from yolostream.pipeline.memory import expect_long_life, give_back_memory
from yolostream.pipeline.plan import Plan
from yolostream.pipeline.runner import stop
from yolostream.pipeline.share import MAX_BATCH, MAX_IN_FLIGHT_ON_GPU, batch_size
from yolostream.pipeline.status import Status
from yolostream.pipeline.stream import Stream
from yolostream.pipeline.worker_process import CLOSE_TIMEOUT_S, ToParent, begin
from yolostream.redaction import print_traceback
from yolostream.service.camera_task import CameraTask
from yolostream.service.live_view import LiveView
from yolostream.service.messages import (
    Drop,
    FromWorker,
    Run,
    Statuses,
    Switched,
    Watch,
)
from yolostream.sources import Session

TELL_S = 0.5
"""Between two reports of all figures."""

GIVE_BACK_S = 10.0
"""Between two times that memory is given back which is free."""

RETRY_S = 1.0
"""Between two attempts to reach a server that is away."""

STOP_TIMEOUT_S = 2.8
"""What is on its way may take so long once the service stops."""

SWITCH_RETRY_S = 10.0
"""Between two attempts to give a camera the ensemble that is wanted."""


class Connect(Protocol):
    """Makes the detector of an ensemble. It can be pickled."""

    def __call__(self, model: str) -> Detector:
        """Connect to the server."""


@print_traceback()
def work(connect: Connect, workers: int, sampling: Sampling | None, connection: Connection) -> None:
    """What the process does: what it is told, until it is told `None`.

    Args:
        connect: makes its detectors.
        workers: processes that share the server, at most.
        sampling: which frames are followed; None follows none.
        connection: to the service.
    """
    asked = threading.Event()
    parent = ToParent(connection)
    begin(parent, on_stop=asked.set)
    # The service says which of it counts.
    logging.getLogger("yolostream").setLevel(logging.DEBUG)
    expect_long_life()
    lanes = _Lanes(connect, workers, asked)
    cameras: dict[str, _Camera] = {}
    told_at = 0.0
    given_back_at = time.monotonic()
    while not asked.is_set() and not lanes.are_broken:
        if connection.poll(max(0.0, told_at + TELL_S - time.monotonic())):
            try:
                message = connection.recv()
            except EOFError:
                break
            if message is None:
                break
            _follow(message, cameras, lanes, sampling, parent.put_nowait)
        if time.monotonic() - told_at >= TELL_S:
            told_at = time.monotonic()
            cameras = {name: one for name, one in cameras.items() if not one.is_ended}
            parent.put_nowait(_statuses(cameras))
        if time.monotonic() - given_back_at >= GIVE_BACK_S:
            given_back_at = time.monotonic()
            give_back_memory()
    asked.set()
    _end(list(cameras.values()))
    parent.put_nowait(_statuses(cameras))
    lanes.close()
    parent.put_nowait(None)


def _follow(
    message: Run | Drop | Watch,
    cameras: dict[str, _Camera],
    lanes: _Lanes,
    sampling: Sampling | None,
    send: Callable[[FromWorker], None],
) -> None:
    match message:
        case Run(task):
            name = task.source.name
            if name not in cameras or not cameras[name].want(task):
                cameras[name] = _Camera(name, lanes, sampling, send)
                cameras[name].want(task)
        case Drop(name) if name in cameras:
            cameras[name].want(None)
        case Watch(name) if name in cameras:
            cameras[name].watch(message)


def _statuses(cameras: dict[str, _Camera]) -> Statuses:
    return Statuses({name: camera.status for name, camera in cameras.items()})


def _end(cameras: Sequence[_Camera]) -> None:
    """Stop all at the same time, within the limits of `stop`."""
    streams = [stream for camera in cameras if (stream := camera.end()) is not None]
    stop(streams, timeout_s=STOP_TIMEOUT_S)


def warm(detector: Detector) -> None:
    """One real detection, of a gray picture: the next one finds everything in place.

    Raises:
        YolostreamError: it fails.
    """
    detector.detect(np.full((*detector.model.input_size, 3), 114, np.uint8))


class _Camera:
    """Brings what runs of one camera in line with what is wanted, on a thread of its own.

    Several changes at once become one: only the last counts.
    """

    def __init__(
        self,
        name: str,
        lanes: _Lanes,
        sampling: Sampling | None,
        send: Callable[[FromWorker], None],
    ) -> None:
        self.is_ended = False
        """Whether nothing of it runs, and nothing will."""
        self._name = name
        self._lanes = lanes
        self._send = send
        self._traces = None if sampling is None else FrameTraces(name, sampling, send)
        self._wanted: CameraTask | None = None
        self._stream: Stream | None = None
        self._lane: _Lane | None = None
        """Where the stream's frames go."""
        self._view: LiveView | None = None
        self._watch = Watch(name)
        self._trouble = ""
        self._lock = threading.Lock()
        self._changed = threading.Event()
        threading.Thread(target=self._run, name=f"{name} camera", daemon=True).start()

    @property
    def status(self) -> Status:
        """Its figures."""
        stream = self._stream
        if stream is None:
            # It has counted nothing, and is no run of its own.
            return Status(self._name, began_at=0.0, trouble=self._trouble)
        return stream.snapshot()

    def want(self, task: CameraTask | None) -> bool:
        """Run this from now on, or nothing any more.

        Returns:
            False where it has ended.
        """
        with self._lock:
            self._wanted = task
            self._changed.set()
            return not self.is_ended

    def watch(self, wanted: Watch) -> None:
        """Somebody looks, or nobody does."""
        self._watch = wanted
        if self._view is not None:
            self._view.want(wanted)

    def end(self) -> Stream | None:
        """Begin nothing any more; what is left to stop."""
        with self._lock:
            self.is_ended = True
            self._changed.set()
            return self._stream

    def _run(self) -> None:
        running: CameraTask | None = None
        while not self.is_ended:
            self._changed.wait(None if running == self._wanted else SWITCH_RETRY_S)
            self._changed.clear()
            running = self._change(running, self._wanted)

    def _change(self, running: CameraTask | None, wanted: CameraTask | None) -> CameraTask | None:
        """Do what is wanted, and return what is done now."""
        stream = self._stream
        if stream is not None and running and wanted and running.goes_on_as(wanted):
            stream.follow(self._plan(wanted))
            return self._switched(stream, running.model, wanted)
        if stream is not None:
            stop([stream])
            # What it counted since the last report would be missing.
            self._send(Statuses({self._name: stream.snapshot()}))
            self._stream = self._view = self._lane = None
        if wanted is None:
            self._end_unless_wanted()
        return wanted if wanted and self._begin(wanted) else None

    def _switched(self, stream: Stream, model: str, wanted: CameraTask) -> CameraTask:
        """Send the next frame to another ensemble, once that has looked at a picture.

        The camera stays open. Where the other one fails, the one that it has goes on.
        """
        figures = stream.status
        if wanted.model == model:
            figures.model_trouble = ""
            return wanted
        try:
            lane = self._lanes.connected(wanted.model)
            warm(lane.detector)
        except YolostreamError as error:
            trouble = f"{model} goes on: {error}"
            if trouble != figures.model_trouble:
                figures.model_trouble = trouble
                self._send(Switched(self._name, wanted.model, trouble))
            return replace(wanted, model=model)
        assert self._lane is not None
        self._lane.dispatcher.hand_over(stream, lane.dispatcher)
        self._lane = lane
        figures.model, figures.model_trouble = wanted.model, ""
        self._send(Switched(self._name, wanted.model))
        return wanted

    def _end_unless_wanted(self) -> None:
        with self._lock:
            # Somebody may have wanted it again meanwhile.
            self.is_ended = self.is_ended or self._wanted is None

    def _begin(self, task: CameraTask) -> bool:
        """Whether it could, before something else was wanted."""
        lane = self._lanes.of(task.model, on_trouble=self._note, unless=self._changed.is_set)
        with self._lock:
            if lane is None or self.is_ended:
                return False
            self._lane = lane
            self._stream = Stream(self._plan(task), lane.detector, on_ready=lane.dispatcher.wake)
            self._stream.status.model = task.model
            reading = replace(task.job.reading(lane.detector.model.input_size), fit=self._fit)
            Capture(self._stream, reading, self._lanes.openings)
            lane.dispatcher.add(self._stream)
            return True

    def _plan(self, task: CameraTask) -> Plan:
        plan = task.job.plan(task.source, None)
        return replace(plan, outputs_of=partial(self._outputs, task), traces=self._traces)

    def _fit(self) -> tuple[int, int] | None:
        """Height and width that frames are made to fit into: another ensemble has another input."""
        return None if self._lane is None else self._lane.detector.model.input_size

    def _note(self, trouble: YolostreamError) -> None:
        self._trouble = str(trouble)

    def _outputs(self, task: CameraTask, session: Session) -> list[Callable[[], Output]]:
        new_view: Callable[[], Output] = partial(self._new_view, session)
        recording = task.recording
        written = [] if recording is None else recording.makers(task.source, session)
        return [*written, new_view]

    def _new_view(self, session: Session) -> LiveView:
        self._view = LiveView(self._name, frame_rate=session.frame_rate, send=self._send)
        self._view.want(self._watch)
        return self._view


class _Lane:
    """What sends frames to one ensemble."""

    def __init__(self, detector: Detector, workers: int) -> None:
        self.detector = detector
        size = batch_size(
            MAX_IN_FLIGHT_ON_GPU,
            workers,
            wanted=MAX_BATCH if detector.model.gpus else 1,
            most=detector.model.max_batch_size,
        )
        self.dispatcher = Dispatcher(detector, Batching(size))
        # The first frames would wait for it. They do if the server is away now.
        with contextlib.suppress(ServerError):
            detector.reserve(size)


class _Lanes:
    """A lane for each ensemble, made when the first camera needs it."""

    def __init__(self, connect: Connect, workers: int, stopping: threading.Event) -> None:
        self.openings = Openings()
        self._connect = connect
        self._workers = workers
        self._stopping = stopping
        self._lanes: dict[str, _Lane] = {}
        self._lock = threading.Lock()

    @property
    def are_broken(self) -> bool:
        """Whether a dispatcher has ended by a defect: a new process does better."""
        return any(not lane.dispatcher.is_alive for lane in list(self._lanes.values()))

    def of(
        self,
        model: str,
        *,
        on_trouble: Callable[[YolostreamError], None],
        unless: Callable[[], bool],
    ) -> _Lane | None:
        """The lane of an ensemble; waits for a server that is away.

        Returns:
            None once we stop, or `unless` says that something else is wanted.
        """
        while not (self._stopping.is_set() or unless()):
            try:
                return self.connected(model)
            except YolostreamError as error:
                on_trouble(error)
            self._stopping.wait(RETRY_S)
        return None

    def connected(self, model: str) -> _Lane:
        """The lane of an ensemble.

        Raises:
            YolostreamError: the server is away, or has none of this name.
        """
        with self._lock:
            if model not in self._lanes:
                self._lanes[model] = _Lane(self._connect(model), self._workers)
            return self._lanes[model]

    def close(self) -> None:
        """Disconnect from all."""
        for lane in self._lanes.values():
            lane.detector.close(timeout_s=CLOSE_TIMEOUT_S)
