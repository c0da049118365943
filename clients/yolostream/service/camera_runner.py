"""Runs one camera in a worker: starts it, changes it, and stops it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from yolostream.errors import YolostreamError
from yolostream.frame_traces import FrameTraces, Sampling
from yolostream.outputs.fenced import Fenced, Permit
from yolostream.outputs.output import Output
from yolostream.pipeline.capture import Capture, Openings
from yolostream.pipeline.plan import Plan
from yolostream.pipeline.runner import stop
from yolostream.pipeline.status import Status
from yolostream.pipeline.stream import Stream
from yolostream.service.camera_task import CameraTask
from yolostream.service.lanes import Lane, Lanes, warm
from yolostream.service.leases.lease import Fence, Lease
from yolostream.service.live_view import LiveView
from yolostream.service.messages import FromWorker, Statuses, Stopped, Switched, Watch
from yolostream.sources import Session

SWITCH_RETRY_S = 10.0
"""Interval between two attempts to switch a camera to another ensemble."""


class CameraRunner:
    """Runs the wanted task of one camera, in a thread of its own.

    If the task changes several times while the thread is busy, only the last change counts.

    Args:
        name: name of the camera.
        lanes: connections to the ensembles.
        openings: limits how many sources the process opens at the same time.
        fence: tells whether results may be written.
        sampling: which frames are traced; None traces none.
        send: sends messages to the service.
    """

    def __init__(
        self,
        name: str,
        *,
        lanes: Lanes,
        openings: Openings,
        fence: Fence,
        sampling: Sampling | None,
        send: Callable[[FromWorker | Stopped], None],
    ) -> None:
        self.is_ended = False
        """Whether the camera is stopped for good. A new task needs a new runner."""
        self._name = name
        self._lanes = lanes
        self._openings = openings
        self._fence = fence
        self._send = send
        self._traces = None if sampling is None else FrameTraces(name, sampling, send)
        self._wanted: CameraTask | None = None
        self._ticket = 0
        """Ticket of the latest request to stop."""
        self._stream: Stream | None = None
        self._is_abandoned = threading.Event()
        """Set when the stream was stopped. Threads of it that hang must write nothing later."""
        self._lane: Lane | None = None
        """The lane that the stream's frames are sent on."""
        self._view: LiveView | None = None
        self._watch = Watch(name)
        self._trouble = ""
        self._lock = threading.Lock()
        self._changed = threading.Event()
        threading.Thread(target=self._run, name=f"{name} camera", daemon=True).start()

    @property
    def status(self) -> Status:
        """The figures of the camera."""
        stream = self._stream
        if stream is None:
            # With a constant time, these figures never count as a new run.
            return Status(self._name, began_at=0.0, trouble=self._trouble)
        return stream.snapshot()

    def want(self, task: CameraTask | None, ticket: int = 0) -> bool:
        """Change to another task, or stop.

        Args:
            task: the new task; None stops the camera.
            ticket: ticket of the `Drop`, which is returned in `Stopped` when the camera has
                stopped.

        Returns:
            False if the runner has ended and does nothing any more.
        """
        with self._lock:
            self._wanted, self._ticket = task, ticket
            self._changed.set()
            return not self.is_ended

    def watch(self, wanted: Watch) -> None:
        """Change what is made for viewers."""
        self._watch = wanted
        if self._view is not None:
            self._view.want(wanted)

    def end(self) -> Stream | None:
        """End the runner. The caller stops the stream that is returned."""
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
        """Change from one task to another. Returns the task that runs afterwards."""
        stream = self._stream
        if stream is not None and running and wanted and running.goes_on_as(wanted):
            stream.follow(self._plan(wanted))
            return self._switch_model(stream, running.model, wanted)
        if stream is not None:
            stop([stream])
            self._is_abandoned.set()
            # This contains the frames since the last regular report.
            self._send(Statuses({self._name: stream.snapshot()}))
            self._stream = self._view = self._lane = None
        if wanted is None:
            self._end_unless_wanted()
        return wanted if wanted and self._begin(wanted) else None

    def _switch_model(self, stream: Stream, model: str, wanted: CameraTask) -> CameraTask:
        """Send the next frames to the wanted ensemble, while the camera stays open.

        The ensemble is tested with one picture before. If it fails, `model` stays in use. Returns
        the task that runs afterwards.
        """
        figures = stream.status
        if wanted.model == model:
            figures.model_trouble = ""
            return wanted
        try:
            lane = self._lanes.connected(wanted.model)
            warm(lane.detector)
        except YolostreamError as error:
            trouble = f"{model} stays in use: {error}"
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
            # A new task may have arrived while the stream was being stopped.
            self.is_ended = self.is_ended or self._wanted is None
            if self.is_ended:
                self._send(Stopped(self._name, self._ticket))

    def _begin(self, task: CameraTask) -> bool:
        """Start a task. Returns False if another change came first."""
        lane = self._lanes.of(task.model, on_trouble=self._note, unless=self._changed.is_set)
        with self._lock:
            if lane is None or self.is_ended:
                return False
            self._lane = lane
            self._is_abandoned = threading.Event()
            self._stream = Stream(self._plan(task), lane.detector, on_ready=lane.dispatcher.wake)
            self._stream.status.model = task.model
            reading = replace(task.job.reading(lane.detector.model.input_size), fit=self._fit)
            Capture(self._stream, reading, self._openings)
            lane.dispatcher.add(self._stream)
            return True

    def _plan(self, task: CameraTask) -> Plan:
        plan = task.job.plan(task.source, None)
        return replace(plan, outputs_of=partial(self._outputs, task), traces=self._traces)

    def _fit(self) -> tuple[int, int] | None:
        """Height and width that frames are scaled to fit into: the input of the ensemble in use."""
        return None if self._lane is None else self._lane.detector.model.input_size

    def _note(self, trouble: YolostreamError) -> None:
        self._trouble = str(trouble)

    def _outputs(self, task: CameraTask, session: Session) -> list[Callable[[], Output]]:
        recording, lease = task.recording, task.lease
        permit = Permit() if lease is None else self._permit(lease)
        written = [] if recording is None else recording.makers(task.source, session, permit)
        new_view: Callable[[], Output] = partial(self._new_view, session, permit.lease)
        return [partial(Fenced.of, make, permit) for make in (*written, new_view)]

    def _permit(self, lease: Lease) -> Permit:
        is_abandoned = self._is_abandoned
        return Permit(lease.number, lambda: self._fence.lets(lease) and not is_abandoned.is_set())

    def _new_view(self, session: Session, lease: int | None) -> LiveView:
        self._view = LiveView(
            self._name, frame_rate=session.frame_rate, send=self._send, lease=lease
        )
        self._view.want(self._watch)
        return self._view
