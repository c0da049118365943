"""The cameras that are watched, and who runs them."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import wait

from yolostream.pipeline.status import Status
from yolostream.service.camera_task import CameraTask
from yolostream.service.events import Events
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


@dataclass
class Camera:
    """A camera that the service knows."""

    task: CameraTask
    is_enabled: bool
    worker: Worker | None = None
    """Runs it; None where it is paused."""
    status: Status = field(default_factory=lambda: Status(""))
    ages: RecentAges = field(default_factory=RecentAges)
    watchers: set[Callable[[Fragment], None]] = field(default_factory=set)
    listeners: set[Callable[[Found], None]] = field(default_factory=set)
    picture_takers: list[Callable[[Picture], None]] = field(default_factory=list)
    header: Fragment | None = None
    since_key: list[Fragment] = field(default_factory=list)
    """Fragments from the last one that a player may join at."""
    counted: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def frames_per_second(self) -> float:
        """Of the last seconds."""
        if len(self.counted) < 2:
            return 0.0
        (begin, first), (end, last) = self.counted[0], self.counted[-1]
        return max(0.0, (last - first) / (end - begin)) if end > begin else 0.0


class Service:
    """Runs cameras in worker processes, which it starts as they are needed.

    All methods may be called from any thread.

    Args:
        connect: makes the detectors of a worker.
        most_workers: processes at most; by default one for two cores.
    """

    def __init__(self, connect: Connect, *, most_workers: int | None = None) -> None:
        cores = len(os.sched_getaffinity(0))
        self.events = Events()
        """What happens."""
        self._connect = connect
        self._most_workers = most_workers or max(1, cores // 2)
        self._cameras: dict[str, Camera] = {}
        self._workers: list[Worker] = []
        self._lock = threading.RLock()
        self._woken, self._wake = Pipe(duplex=False)
        self._stopping = threading.Event()
        self._looked_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="service", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def cameras(self) -> Iterator[Mapping[str, Camera]]:
        """All cameras as they are now; nothing changes inside of the block."""
        with self._lock:
            yield self._cameras

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
                camera = self._cameras[name] = Camera(task, enabled, status=Status(name))
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
            self._rest(name, self._cameras[name])
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
            if camera.header is not None and camera.since_key:
                for fragment in (camera.header, *camera.since_key):
                    on_fragment(fragment)
            camera.watchers.add(on_fragment)
            self._tell_who_looks(name)
        try:
            yield
        finally:
            with self._lock:
                camera.watchers.discard(on_fragment)
                if not camera.watchers:
                    camera.header, camera.since_key = None, []
                self._tell_who_looks(name)

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
            camera = self._cameras[name]
            camera.listeners.add(on_found)
            self._tell_who_looks(name)
        try:
            yield
        finally:
            with self._lock:
                camera.listeners.discard(on_found)
                self._tell_who_looks(name)

    def take_picture(self, name: str, on_picture: Callable[[Picture], None]) -> None:
        """Ask for the next annotated frame of a camera, which comes if the camera is there.

        Args:
            name: of the camera.
            on_picture: is called once, in the service's thread.

        Raises:
            KeyError: there is none of this name.
        """
        with self._lock:
            camera = self._cameras[name]
            camera.picture_takers.append(on_picture)
            if camera.worker is not None:
                camera.worker.take_picture(name)

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
            least = Worker(self._connect, self._take)
            self._workers.append(least)
            # It is listened to from now on.
            self._wake.send_bytes(b"")
        assert least is not None
        return least

    def _rest(self, name: str, camera: Camera) -> None:
        if camera.worker is not None:
            camera.worker.drop(name)
            camera.worker = None
        camera.status = Status(name)
        camera.counted.clear()
        camera.ages = RecentAges()

    def _tell_who_looks(self, name: str) -> None:
        camera = self._cameras.get(name)
        if camera is not None and camera.worker is not None:
            looked_at = Watch(name, bool(camera.watchers), bool(camera.listeners))
            camera.worker.watch(looked_at)

    # The service's own thread.

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._listen(_POLL_S)
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
                takers, camera.picture_takers = camera.picture_takers, []
                for on_picture in takers:
                    on_picture(message)

    def _note(self, name: str, status: Status) -> None:
        camera = self._cameras.get(name)
        if camera is None or camera.worker is None:
            return
        camera.status = status
        now = time.monotonic()
        if camera.counted and status.frames_done < camera.counted[-1][1]:
            # Begun anew.
            camera.counted.clear()
        camera.counted.append((now, status.frames_done))
        while now - camera.counted[0][0] > _RATE_S:
            camera.counted.popleft()
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
