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

from yolostream.pipeline.status import Status
from yolostream.pipeline.timing import StageTimer
from yolostream.service.camera_task import CameraTask
from yolostream.service.messages import Found, Fragment, FromWorker, Picture, Run, Statuses, Watch
from yolostream.service.totals import Totals
from yolostream.service.worker import Worker
from yolostream.service.worker_process import Connect

CAMERAS_A_WORKER = 4
"""As many as one interpreter feeds with ease."""

STOP_TIMEOUT_S = 4.5
"""Workers that take longer to stop are killed."""

_POLL_S = 0.25
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
    """Of its latest run."""
    totals: Totals = field(default_factory=lambda: Totals(""))
    """Of all its runs."""
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
        self.stages_of_removed = StageTimer()
        """What the frames of cameras took that are no longer there."""
        self._connect = connect
        self._most_workers = most_workers or max(1, cores // 2)
        self._cameras: dict[str, Camera] = {}
        self._workers: list[Worker] = []
        self._lock = threading.RLock()
        self._woken, self._wake = Pipe(duplex=False)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="service", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def cameras(self) -> Iterator[Mapping[str, Camera]]:
        """All cameras as they are now; nothing changes inside of the block."""
        with self._lock:
            yield self._cameras

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

    def close(self) -> None:
        """Stop all cameras; files are whole. It takes `STOP_TIMEOUT_S` at most."""
        self._stopping.set()
        self._wake.send_bytes(b"")
        self._thread.join()

    def _worker_with_room(self) -> Worker:
        least = min(self._workers, key=lambda worker: len(worker.cameras), default=None)
        is_full = least is None or len(least.cameras) >= CAMERAS_A_WORKER
        if is_full and len(self._workers) < self._most_workers:
            least = Worker(self._connect, self._most_workers, self._take)
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
            if isinstance(message, Statuses):
                for name, status in message.of_cameras.items():
                    self._note(name, status)
            elif message.camera in self._cameras:
                self._hand_on(self._cameras[message.camera], message)

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
        if camera is None:
            return
        camera.totals.note(status)
        if camera.worker is None:
            return
        if status.began_at != camera.status.began_at:
            camera.counted.clear()
        camera.status = status
        now = time.monotonic()
        camera.counted.append((now, status.frames_done))
        while now - camera.counted[0][0] > _RATE_S:
            camera.counted.popleft()

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
