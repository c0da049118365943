"""The service, which runs all cameras."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from yolostream.frame_trace import Trace
from yolostream.frame_traces import Sampling
from yolostream.pipeline.status import Status
from yolostream.pipeline.timing import StageTimer
from yolostream.service.audience import Kind
from yolostream.service.camera import Camera
from yolostream.service.camera_task import CameraTask
from yolostream.service.capacity import Load
from yolostream.service.events import Events
from yolostream.service.lanes import Connect
from yolostream.service.leased_cameras import LeasedCameras
from yolostream.service.load_meter import LoadMeter
from yolostream.service.messages import (
    FromWorker,
    Made,
    Statuses,
    Switched,
    Transition,
    WorkerDied,
)
from yolostream.service.worker import Worker
from yolostream.service.workers import Workers

_HANG_S = 30.0
"""Seconds after which the service's thread counts as hung. It can only be blocked by a worker that
hangs in the middle of a message, and `WatchedChild` kills such a worker earlier."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tracing:
    """Which frames are traced, and where the traces go."""

    sampling: Sampling
    on_trace: Callable[[Trace], None]
    """Called in the service's thread. It must not block."""


class Service:
    """Runs cameras in worker processes, which it starts when they are needed.

    All methods may be called from any thread.

    Args:
        connect: makes the detectors of a worker.
        most_workers: largest number of workers; by default one for every two cores.
        tracing: how frames are traced; None traces none.
        instance: name of this instance if cameras are shared with others: only cameras with a
            lease run, see `LeasedCameras`. None runs all cameras.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        most_workers: int | None = None,
        tracing: Tracing | None = None,
        instance: str | None = None,
    ) -> None:
        self.events = Events()
        """Events of the service and its cameras."""
        self.stages_of_removed = StageTimer()
        """Times of the pipeline's stages for the frames of cameras that were removed."""
        self._cameras: dict[str, Camera] = {}
        self._tracing = tracing
        most = most_workers or max(1, len(os.sched_getaffinity(0)) // 2)
        sampling = None if tracing is None else tracing.sampling
        self._workers = Workers(partial(Worker, connect, most, self._handle, sampling), most)
        self._lock = threading.RLock()
        self._meter = LoadMeter()
        self._stopping = threading.Event()
        self.leased = LeasedCameras(
            instance, self._cameras, self._workers, self.events, self._lock, self._stopping
        )
        """The leases of the cameras, if they are shared."""
        self._polled_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="service", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def cameras(self) -> Iterator[Mapping[str, Camera]]:
        """All cameras by name. They do not change until the block ends."""
        with self._lock:
            yield self._cameras

    @property
    def load(self) -> Load:
        """The load of the cameras on the machine."""
        with self._lock:
            return self._meter.load

    def workers(self) -> Sequence[Worker]:
        """All workers, always in the same order."""
        return self._workers.all()

    def put(self, name: str, task: CameraTask, *, enabled: bool = True) -> bool:
        """Add a camera or change it.

        Returns:
            Whether anything has changed.
        """
        with self._lock:
            camera = self._cameras.get(name)
            if camera is not None and (camera.task, camera.is_enabled) == (task, enabled):
                return False
            self.leased.publish("camera_added" if camera is None else "camera_changed", name)
            if camera is None:
                camera = self._cameras[name] = Camera(name, task)
            camera.task, camera.is_enabled = task, enabled
            if enabled and self.leased.may_run(camera):
                camera.run_on(camera.worker or self._workers.with_room())
            else:
                camera.stop()
            return True

    def remove(self, name: str) -> None:
        """Stop a camera and forget it.

        Raises:
            KeyError: there is no camera of this name.
        """
        with self._lock:
            camera = self._cameras.pop(name)
            camera.stop()
            self.stages_of_removed += camera.totals.figures().timer
            self.leased.publish("camera_removed", name)

    @contextlib.contextmanager
    def following(
        self, name: str, kind: type[Kind], take: Callable[[Kind], None]
    ) -> Iterator[None]:
        """Receive what is made of each frame of a camera, until the block ends.

        It is made once, no matter how many receive it.

        Args:
            name: name of the camera.
            kind: `Fragment` for annotated video, which begins with a header and a key; `Picture`
                for annotated frames; `Found` for detections.
            take: called with each of them, in any thread. It must not block.

        Raises:
            KeyError: there is no camera of this name.
        """
        with self._lock:
            camera = self._cameras[name]
            camera.audience.join(kind, take)
            camera.update_watch()
        try:
            yield
        finally:
            with self._lock:
                camera.audience.leave(kind, take)
                camera.update_watch()

    @property
    def is_healthy(self) -> bool:
        """Whether the service's thread lives and does not hang."""
        return self._thread.is_alive() and time.monotonic() - self._polled_at < _HANG_S

    def ask_to_stop(self) -> None:
        """Begin to stop, and do not wait for it; see `close`."""
        self._stopping.set()
        self._workers.wake()

    def close(self) -> None:
        """Stop all cameras and complete their files. Takes at most `workers.STOP_TIMEOUT_S`."""
        self.ask_to_stop()
        self._thread.join()

    # The service's own thread.

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._polled_at = time.monotonic()
            self._workers.listen()
            with self._lock:
                self.leased.stop_expired()
                statuses = {name: one.status for name, one in self._cameras.items()}
                self._meter.sample(time.monotonic(), statuses)
        self._workers.stop()

    def _handle(self, message: FromWorker) -> None:
        with self._lock:
            match message:
                case Statuses(of_cameras):
                    self._update(of_cameras)
                case WorkerDied():
                    self._publish_death(message)
                case Trace():
                    if self._tracing is not None:
                        self._tracing.on_trace(message)
                case _ if self.leased.may_publish(message.camera):
                    self._forward(message)

    def _update(self, statuses: Mapping[str, Status]) -> None:
        for name, status in statuses.items():
            if name in self._cameras:
                self._cameras[name].note(status)

    def _forward(self, message: Made | Transition | Switched) -> None:
        if isinstance(message, Transition | Switched):
            self._publish(message)
        elif message.camera in self._cameras:
            self._cameras[message.camera].audience.publish(message)

    def _publish_death(self, died: WorkerDied) -> None:
        self.events.publish(
            "worker_restarted",
            cameras=[name for name in died.cameras if self.leased.may_publish(name)],
            exit_code=died.exit_code,
            in_seconds=died.wait_s,
        )

    def _publish(self, message: Transition | Switched) -> None:
        publish = self.leased.publish
        match message:
            case Transition(name, before, after, reason):
                publish("camera_state", name, **{"from": before, "to": after, "reason": reason})
            case Switched(name, model, ""):
                publish("model_switched", name, model=model)
            case Switched(name, model, trouble):
                publish("model_failed", name, model=model, reason=trouble)
