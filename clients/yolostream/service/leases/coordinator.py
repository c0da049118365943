"""Acquires and releases the leases of cameras for one instance."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

from yolostream.service.leases.assignment import assigned
from yolostream.service.leases.host import CameraHost, PreviousLease
from yolostream.service.leases.lease import GUARD, Lease, Owner, steady_s
from yolostream.service.leases.members import Members
from yolostream.service.leases.session import Session, instance_of
from yolostream.service.leases.store import Conflict, Kind, Record, Store, StoreUnavailable

_END_S = 0.5
"""Longest time to wait for the store when the instance stops. A store that hangs must not delay the
stop."""

_log = logging.getLogger(__name__)


class Coordinator:
    """Renews the session of this instance, and acquires and releases leases of cameras.

    The lease of a camera names the session that holds it, and is valid as long as that session is
    renewed. It is written only when the holder changes, so the number of renewals does not grow
    with the number of cameras.

    Only `takeovers`, `failed_renewals` and `problem` may be read from other threads.

    Args:
        store: store that all instances share.
        instance: name of this instance.
        duration_s: seconds without renewal after which others consider this instance dead.
        host: runs the cameras.
        clock: returns the current time in seconds.
    """

    def __init__(
        self,
        store: Store,
        instance: str,
        duration_s: int,
        host: CameraHost,
        *,
        clock: Callable[[], float] = steady_s,
    ) -> None:
        self.takeovers = 0
        """Cameras that were acquired after their instance had died or stopped, since the start."""
        self.problem: str | None = None
        """Why the store cannot be used; None if it can."""
        self._store = store
        self._instance = instance
        self._duration_s = duration_s
        self._host = host
        self._clock = clock
        self._lock = threading.Lock()
        self._members = Members()
        self._session = Session(store, instance, duration_s, host, self._members, clock)
        self._is_unfinished = False
        self._assigned: Mapping[str, str] = {}
        self._assigned_for: tuple[frozenset[str], Mapping[str, str]] = (frozenset(), {})

    @property
    def failed_renewals(self) -> int:
        """Failed renewals of the session since the start."""
        return self._session.failed_renewals

    def tick(self) -> float:
        """Renew the session, and bring the leases of all cameras up to date.

        Returns:
            Seconds after which it should be called again.
        """
        with self._lock:
            return self._tick()

    def leave(self) -> None:
        """Release all leases by ending the session. All cameras must have been stopped.

        If the store does not answer, other instances take the cameras when the session has expired.
        """
        # The lock is not free if the store hangs in `tick`.
        if self._lock.acquire(blocking=False):
            self._session.leave(_END_S)

    def _tick(self) -> float:
        began, session = self._clock(), self._session
        session.end_if_late()
        try:
            # Read once, because the session publishes a digest of exactly these cameras.
            wanted = frozenset(self._host.enabled_cameras())
            session.renew(wanted)
            cameras = self._camera_records()
            self._update_leases(wanted, cameras)
        except StoreUnavailable as error:
            self._report(str(error))
            # The next call must not be later than the end of the session.
            left = session.period_s if session.record is None else session.until_s - self._clock()
            return max(0.05, min(session.period_s - (self._clock() - began), left))
        self._report(None)
        if self._is_unfinished or session.record is None:
            return 0.05
        wake_at = min(began + session.period_s, self._members.next_end_s() + 0.01)
        return max(0.05, wake_at - self._clock())

    def _camera_records(self) -> dict[str, Record]:
        """Read all records, and update the members."""
        asked_at = self._clock()
        records = self._store.records(self._session.timeout_s)
        self._members.update(
            _of_kind(records, "member").values(), asked_at=asked_at, answered_at=self._clock()
        )
        for member in self._members.dead():
            with contextlib.suppress(Conflict):
                self._store.delete(member, self._session.timeout_s)
        return _of_kind(records, "camera")

    def _update_leases(self, wanted: frozenset[str], cameras: dict[str, Record]) -> None:
        self._session.end_if_late()
        if (me := self._session.record) is None:
            return
        alive = {member.name: member for member in self._members.alive()}
        # Instances with other cameras are ignored. They may have read another version of the file.
        ours = {
            name: instance_of(name)
            for name, member in alive.items()
            if member.cameras == me.cameras
        }
        shares = self._shares(wanted, ours | {me.name: self._instance})
        self._is_unfinished = False
        for name in sorted(wanted | cameras.keys()):
            before = cameras.get(name, Record("camera", name, duration_s=self._duration_s))
            with contextlib.suppress(Conflict):
                cameras[name] = self._update_lease(before, shares.get(name, ""), alive)
            is_written = cameras.get(name, before) is not before
            if is_written and self._clock() - self._session.renewed_at >= self._session.period_s:
                # The session has to be renewed before the other cameras are updated.
                self._is_unfinished = True
                break
        self._host.note_owners(
            {
                name: Owner(instance_of(record.holder), record.number)
                for name, record in cameras.items()
                if record.holder in alive and record.holder != me.name
            }
        )

    def _shares(self, cameras: frozenset[str], members: Mapping[str, str]) -> Mapping[str, str]:
        # The assignment of 10,000 cameras takes seconds, and it seldom changes.
        if self._assigned_for != (cameras, members):
            self._assigned_for = (cameras, members)
            self._assigned = assigned(cameras, members)
        return self._assigned

    def _update_lease(self, record: Record, share: str, alive: Collection[str]) -> Record:
        """Acquire, keep or release one camera.

        Raises:
            Conflict: another instance changed the record first.
            StoreUnavailable: the store cannot be used.
        """
        assert self._session.record is not None
        session, name = self._session.record.name, record.name
        if record.holder == session:
            if share == session:
                self._host.acquire(name, Lease(record.number, session))
                return record
            self._host.release(name)
            if not self._host.is_stopped(name):
                return record
            _log.info("%s: lease %d is released", name, record.number)
            return self._store.write(replace(record, holder=""), self._session.timeout_s)
        if share != session or record.holder in alive:
            self._host.release(name)
            return record
        taken = replace(
            record, holder=session, number=record.number + 1, duration_s=self._duration_s
        )
        written = self._store.write(taken, self._session.timeout_s)
        previous = self._previous_lease(record)
        if record.holder:
            self.takeovers += 1
            instance = instance_of(record.holder)
            if previous == "released":
                _log.info("%s: taken over from %s, which released the lease", name, instance)
            else:
                _log.warning("%s: taken over from %s, whose lease expired", name, instance)
        self._host.acquire(name, Lease(written.number, session), previous)
        return written

    def _previous_lease(self, record: Record) -> PreviousLease:
        if record.number == 0:
            return "none"
        if not record.holder or self._members.is_released(record.holder):
            return "released"
        return "expired"

    def _report(self, problem: str | None) -> None:
        """Log changes only: the store is not available, or it is available again."""
        if (problem is None) != (self.problem is None):
            if problem is None:
                _log.warning("the leases are available again")
            else:
                _log.error(
                    "%s; cameras stop %.3g s after the last renewal until it is back",
                    problem,
                    GUARD * self._duration_s,
                )
        self.problem = problem


@contextlib.contextmanager
def running_coordinator(coordinator: Coordinator) -> Iterator[None]:
    """Call `tick` in a thread of its own until the block ends."""
    stopping = threading.Event()

    def run() -> None:
        wait_s = 0.0
        while not stopping.wait(wait_s):
            try:
                wait_s = coordinator.tick()
            except Exception:
                # Without this thread, all cameras would stop and stay stopped.
                _log.exception(
                    "an update of the leases failed unexpectedly; the next one is in 1 s"
                )
                wait_s = 1.0

    thread = threading.Thread(target=run, name="leases", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(_END_S)


def _of_kind(records: Mapping[tuple[Kind, str], Record], kind: Kind) -> dict[str, Record]:
    return {name: record for (of, name), record in records.items() if of == kind}
