"""The leases of a service's cameras: which cameras may run and publish results here."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from yolostream.service.camera import Camera
from yolostream.service.events import Events, EventType
from yolostream.service.leases.host import PreviousLease
from yolostream.service.leases.lease import Fence, Lease, Owner
from yolostream.service.messages import Extend
from yolostream.service.workers import Workers

_log = logging.getLogger(__name__)


class LeasedCameras:
    """Starts and stops cameras with their leases, as a `leases.host.CameraHost`.

    If cameras are not shared, each of them may run. All methods may be called from any thread.

    Args:
        instance: name of this instance; None if cameras are not shared.
        cameras: all cameras of the service, which changes them.
        workers: run the cameras.
        events: receives the events of leases.
        lock: guards the cameras.
        stopping: set when the service begins to stop.
    """

    def __init__(
        self,
        instance: str | None,
        cameras: Mapping[str, Camera],
        workers: Workers,
        events: Events,
        lock: threading.RLock,
        stopping: threading.Event,
    ) -> None:
        self.instance = instance
        """Name of this instance; None if cameras are not shared."""
        self._cameras = cameras
        self._workers = workers
        self._events = events
        self._lock = lock
        self._stopping = stopping
        self._fence = Fence()

    def enabled_cameras(self) -> set[str]:
        """See `CameraHost`."""
        with self._lock:
            return {name for name, camera in self._cameras.items() if camera.is_enabled}

    def extend(self, session: str, until_s: float) -> None:
        """See `CameraHost`."""
        self._fence.extend(session, until_s)
        self._workers.extend(Extend(session, until_s))

    def acquire(self, name: str, lease: Lease, previous: PreviousLease | None = None) -> None:
        """See `CameraHost`."""
        with self._lock:
            camera = self._cameras.get(name)
            if camera is None or not camera.is_enabled or camera.lease == lease:
                return
            # The lease may have expired meanwhile, because this process may have been paused.
            if self._stopping.is_set() or not self._fence.lets(lease):
                return
            camera.lease, camera.owner = lease, None
            details = {} if previous is None else {"previous_lease": previous}
            self.publish("lease_acquired", name, instance=self.instance, **details)
            camera.run_on(camera.worker or self._workers.with_room())

    def release(self, name: str) -> None:
        """See `CameraHost`."""
        with self._lock:
            camera = self._cameras.get(name)
            if camera is not None and camera.lease is not None:
                if self._fence.lets(camera.lease):
                    self.publish("lease_released", name, instance=self.instance)
                camera.stop()

    def is_stopped(self, name: str) -> bool:
        """See `CameraHost`."""
        with self._lock:
            camera = self._cameras.get(name)
            runs = camera is not None and camera.worker is not None
            return not runs and not self._workers.are_stopping(name)

    def lose_leases(self, reason: str) -> None:
        """See `CameraHost`."""
        with self._lock:
            lost = {name: one for name, one in self._cameras.items() if one.lease is not None}
            for camera in lost.values():
                camera.stop()
            for camera in self._cameras.values():
                camera.owner = None
            if lost:
                _log.error("%s: stopped, because %s", ", ".join(lost), reason)
                self._events.publish("leases_lost", cameras=list(lost), reason=reason)

    def note_owners(self, owners: Mapping[str, Owner]) -> None:
        """See `CameraHost`."""
        with self._lock:
            for name, camera in self._cameras.items():
                camera.owner = owners.get(name)

    def may_run(self, camera: Camera) -> bool:
        """Whether an enabled camera may run on this instance."""
        return self.instance is None or camera.lease is not None

    def stop_expired(self) -> None:
        """Stop cameras whose leases have expired, even while the store does not answer."""
        leases = [camera.lease for camera in self._cameras.values() if camera.lease is not None]
        if not all(map(self._fence.lets, leases)):
            self.lose_leases("the leases were not renewed in time")

    def may_publish(self, name: str) -> bool:
        """Whether messages about a camera may be published: its lease is still valid."""
        if self.instance is None:
            return True
        camera = self._cameras.get(name)
        return camera is not None and camera.lease is not None and self._fence.lets(camera.lease)

    def publish(self, type: EventType, name: str, **details: Any) -> None:
        """Publish an event of a camera, with the number of its lease."""
        camera = self._cameras.get(name)
        lease = None if camera is None else camera.lease
        if lease is not None and self._fence.lets(lease):
            details["lease"] = lease.number
        self._events.publish(type, name, **details)
