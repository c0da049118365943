"""The cameras that are watched, and who runs them."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import TypeVar

from yolostream.frame_trace import Sampling, Trace
from yolostream.pipeline.status import Status
from yolostream.pipeline.timing import StageTimer
from yolostream.service.camera_task import CameraTask
from yolostream.service.capacity import Load
from yolostream.service.events import Events
from yolostream.service.load_meter import LoadMeter
from yolostream.service.messages import (
    Found,
    Fragment,
    FromWorker,
    Picture,
    Run,
    Statuses,
    Switched,
    Transition,
    Watch,
    WorkerDied,
)
from yolostream.service.recent_ages import RecentAges
from yolostream.service.totals import Totals
from yolostream.service.worker import Worker
from yolostream.service.worker_process import Connect

CAMERAS_A_WORKER = 4
"""As many as one interpreter feeds with ease."""

STOP_TIMEOUT_S = 3.8
"""Workers that take longer to stop are killed."""

_POLL_S = 0.25
_MOST_SILENCE_S = 10.0
"""Of the service's own thread: it waits for nothing, so it hangs."""
_RATE_S = 3.0
"""Frames per second are counted over so long."""

_Taker = TypeVar("_Taker", bound=Callable[..., None])


@dataclass(frozen=True)
class Tracing:
    """Which frames are followed, and who wants to know."""

    sampling: Sampling
    on_trace: Callable[[Trace], None]
    """Is called in the service's thread, and must not wait."""


@dataclass
class Camera:
    """A camera that the service knows."""

    task: CameraTask
    is_enabled: bool
    worker: Worker | None = None
    """Runs it; None where it is paused."""
    status: Status = field(default_factory=lambda: Status(""))
    """Of its latest run."""
    ages: RecentAges = field(default_factory=RecentAges)
    totals: Totals = field(default_factory=lambda: Totals(""))
    """Of all its runs."""
    watchers: set[Callable[[Fragment], None]] = field(default_factory=set)
    picture_takers: set[Callable[[Picture], None]] = field(default_factory=set)
    listeners: set[Callable[[Found], None]] = field(default_factory=set)
    header: Fragment | None = None
    since_key: list[Fragment] = field(default_factory=list)
    """Fragments from the last one that a player may join at."""
    noted: deque[tuple[float, Status]] = field(default_factory=deque)
    """Its figures of the last seconds, and when they came."""

    @property
    def recent(self) -> Status:
        """What was counted in the last seconds."""
        return self.status.since(self.noted[0][1]) if self.noted else self.status

    @property
    def frames_per_second(self) -> float:
        """Of the last seconds."""
        if len(self.noted) < 2:
            return 0.0
        return self.recent.frames_done / (self.noted[-1][0] - self.noted[0][0])


class Service:
    """Runs cameras in worker processes, which it starts as they are needed.

    All methods may be called from any thread.

    Args:
        connect: makes the detectors of a worker.
        most_workers: processes at most; by default one for two cores.
        tracing: of frames; None follows none.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        most_workers: int | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        cores = len(os.sched_getaffinity(0))
        self.events = Events()
        """What happens."""
        self.stages_of_removed = StageTimer()
        """What the frames of cameras took that are no longer there."""
        self._connect = connect
        self._tracing = tracing
        self._most_workers = most_workers or max(1, cores // 2)
        self._cameras: dict[str, Camera] = {}
        self._workers: list[Worker] = []
        self._lock = threading.RLock()
        self._woken, self._wake = Pipe(duplex=False)
        self._meter = LoadMeter()
        self._stopping = threading.Event()
        self._looked_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="service", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def cameras(self) -> Iterator[Mapping[str, Camera]]:
        """All cameras as they are now; nothing changes inside of the block."""
        with self._lock:
            yield self._cameras

    @property
    def load(self) -> Load:
        """What the cameras cost the machine."""
        with self._lock:
            return self._meter.load

    def workers(self) -> Sequence[Worker]:
        """All processes that run cameras; one keeps its place here."""
        with self._lock:
            return list(self._workers)

    def put(self, name: str, task: CameraTask, *, enabled: bool = True) -> bool:
        """Add a camera, or change it.

        Returns:
            Whether anything differs from before.
        """
        with self._lock:
            camera = self._cameras.get(name)
            if camera is not None and (camera.task, camera.is_enabled) == (task, enabled):
                return False
            self.events.publish("camera_added" if camera is None else "camera_changed", name)
            if camera is None:
                camera = Camera(task, enabled, status=Status(name), totals=Totals(name))
                self._cameras[name] = camera
            camera.task, camera.is_enabled = task, enabled
            if enabled:
                if camera.worker is None:
                    camera.worker = self._worker_with_room()
                camera.worker.run(Run(task))
                self._tell_who_looks(name)
            else:
                self._rest(name, camera)
            return True

    def remove(self, name: str) -> None:
        """Let go of a camera.

        Raises:
            KeyError: there is none of this name.
        """
        with self._lock:
            camera = self._cameras[name]
            self._rest(name, camera)
            self.stages_of_removed += camera.totals.figures().timer
            del self._cameras[name]
            self.events.publish("camera_removed", name)

    @contextlib.contextmanager
    def watching(self, name: str, on_fragment: Callable[[Fragment], None]) -> Iterator[None]:
        """Have the video of a camera made, once for all who look, until the block ends.

        Args:
            name: of the camera.
            on_fragment: is called in the service's thread: a header, then fragments from a key on.

        Raises:
            KeyError: there is none of this name.
        """
        with self._lock:
            camera = self._cameras[name]
            if camera.header is not None:
                for fragment in (camera.header, *camera.since_key):
                    on_fragment(fragment)
            # At once: the next fragment is not missed.
            camera.watchers.add(on_fragment)
        try:
            with self._among(camera.watchers, on_fragment, name):
                yield
        finally:
            with self._lock:
                if not camera.watchers:
                    camera.header, camera.since_key = None, []

    @contextlib.contextmanager
    def seeing(self, name: str, on_picture: Callable[[Picture], None]) -> Iterator[None]:
        """Have a picture made of each annotated frame, once for all, until the block ends.

        Args:
            name: of the camera.
            on_picture: is called in the service's thread.

        Raises:
            KeyError: there is none of this name.
        """
        with self._lock:
            takers = self._cameras[name].picture_takers
        with self._among(takers, on_picture, name):
            yield

    @contextlib.contextmanager
    def listening(self, name: str, on_found: Callable[[Found], None]) -> Iterator[None]:
        """Be told what is found in each frame of a camera, until the block ends.

        Args:
            name: of the camera.
            on_found: is called in the service's thread.

        Raises:
            KeyError: there is none of this name.
        """
        with self._lock:
            listeners = self._cameras[name].listeners
        with self._among(listeners, on_found, name):
            yield

    @property
    def is_well(self) -> bool:
        """Whether it looks after its workers."""
        return self._thread.is_alive() and time.monotonic() - self._looked_at < _MOST_SILENCE_S

    def ask_to_stop(self) -> None:
        """Begin with what `close` waits for."""
        self._stopping.set()
        self._wake.send_bytes(b"")

    def close(self) -> None:
        """Stop all cameras; files are whole. It takes `STOP_TIMEOUT_S` at most."""
        self.ask_to_stop()
        self._thread.join()

    def _worker_with_room(self) -> Worker:
        least = min(self._workers, key=lambda worker: len(worker.cameras), default=None)
        is_full = least is None or len(least.cameras) >= CAMERAS_A_WORKER
        if is_full and len(self._workers) < self._most_workers:
            sampling = None if self._tracing is None else self._tracing.sampling
            least = Worker(self._connect, self._most_workers, self._take, sampling)
            self._workers.append(least)
            # It is listened to from now on.
            self._wake.send_bytes(b"")
        assert least is not None
        return least

    @contextlib.contextmanager
    def _among(self, those: set[_Taker], one: _Taker, name: str) -> Iterator[None]:
        with self._lock:
            those.add(one)
            self._tell_who_looks(name)
        try:
            yield
        finally:
            with self._lock:
                those.discard(one)
                self._tell_who_looks(name)

    def _rest(self, name: str, camera: Camera) -> None:
        if camera.worker is not None:
            camera.worker.drop(name)
            camera.worker = None
        camera.status = Status(name)
        camera.noted.clear()
        camera.ages = RecentAges()

    def _tell_who_looks(self, name: str) -> None:
        camera = self._cameras.get(name)
        if camera is not None and camera.worker is not None:
            camera.worker.watch(
                Watch(
                    name,
                    video=bool(camera.watchers),
                    pictures=bool(camera.picture_takers),
                    detections=bool(camera.listeners),
                )
            )

    # The service's own thread.

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._listen(_POLL_S)
            with self._lock:
                statuses = {name: one.status for name, one in self._cameras.items()}
                self._meter.sample(time.monotonic(), statuses)
        for worker in self._workers:
            worker.ask_to_stop()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while time.monotonic() < deadline and not all(one.is_done for one in self._workers):
            self._listen(_POLL_S)
        for worker in self._workers:
            worker.close()

    def _listen(self, timeout_s: float) -> None:
        self._looked_at = time.monotonic()
        with self._lock:
            workers = [one for one in self._workers if not one.is_done]
        for worker in workers:
            worker.tend()
        of_connection = {one.connection: one for one in workers if one.connection is not None}
        for ready in wait([*of_connection, self._woken], timeout_s):
            if ready is self._woken:
                self._woken.recv_bytes()
            else:
                of_connection[ready].take()  # type: ignore[index]

    def _take(self, message: FromWorker) -> None:
        with self._lock:
            match message:
                case Statuses(of_cameras):
                    for name, status in of_cameras.items():
                        self._note(name, status)
                case WorkerDied() | Transition() | Switched():
                    self._publish(message)
                case Trace():
                    if self._tracing is not None:
                        self._tracing.on_trace(message)
                case _ if message.camera in self._cameras:
                    self._hand_on(self._cameras[message.camera], message)

    def _publish(self, message: WorkerDied | Transition | Switched) -> None:
        publish = self.events.publish
        match message:
            case WorkerDied(cameras, code, wait_s):
                publish("worker_restarted", cameras=cameras, exit_code=code, in_seconds=wait_s)
            case Transition(name, before, after, reason):
                publish("camera_state", name, **{"from": before, "to": after, "reason": reason})
            case Switched(name, model, ""):
                publish("model_switched", name, model=model)
            case Switched(name, model, trouble):
                publish("model_failed", name, model=model, reason=trouble)

    def _hand_on(self, camera: Camera, message: Fragment | Found | Picture) -> None:
        match message:
            case Fragment():
                self._relay(camera, message)
            case Found():
                for on_found in list(camera.listeners):
                    on_found(message)
            case Picture():
                for on_picture in list(camera.picture_takers):
                    on_picture(message)

    def _note(self, name: str, status: Status) -> None:
        camera = self._cameras.get(name)
        if camera is None:
            return
        camera.totals.note(status)
        if camera.worker is None:
            return
        if status.began_at != camera.status.began_at:
            camera.noted.clear()
        camera.status = status
        now = time.monotonic()
        camera.noted.append((now, status))
        while now - camera.noted[0][0] > _RATE_S:
            camera.noted.popleft()
        camera.ages.note(now, status.result_ages)

    def _relay(self, camera: Camera, fragment: Fragment) -> None:
        if not camera.watchers:
            return
        if fragment.kind == "header":
            camera.header, camera.since_key = fragment, []
        elif fragment.kind == "key":
            camera.since_key = [fragment]
        elif camera.since_key:
            camera.since_key.append(fragment)
        for on_fragment in list(camera.watchers):
            on_fragment(fragment)
