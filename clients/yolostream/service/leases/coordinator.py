"""Acquires, renews and releases the leases of one instance."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import secrets
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from yolostream.service.leases.assignment import assigned
from yolostream.service.leases.lease import GUARD, Lease, Owner, steady_s
from yolostream.service.leases.members import Members
from yolostream.service.leases.store import Conflict, Kind, Record, Store, StoreAway

LOOKS = 4
"""Renewals of the session within its duration."""

REQUEST_TIMEOUT_S = 4.0
"""Longest timeout of a request to the store, however long the leases last."""

_END_S = 0.5
"""For an update that is in progress at the end, and for the end of the session. A store that hangs
must not delay a stop, whatever the duration."""

_log = logging.getLogger(__name__)


class CameraHost(Protocol):
    """Runs the cameras whose leases this instance holds."""

    def enabled_cameras(self) -> Collection[str]:
        """Names of all cameras that should run on some instance."""

    def extend(self, session: str, until_s: float) -> None:
        """Make leases of this session valid until `until_s`, and those of others invalid."""

    def acquire(self, camera: str, lease: Lease) -> None:
        """Run a camera, unless it already runs with this lease or is not enabled any more."""

    def release(self, camera: str) -> None:
        """Begin to stop a camera, if it runs here."""

    def is_stopped(self, camera: str) -> bool:
        """Whether the camera does not run here and its outputs are closed."""

    def lose_leases(self, reason: str) -> None:
        """Stop all cameras: their leases have expired."""

    def note_owners(self, owners: Mapping[str, Owner]) -> None:
        """Update which cameras run on other instances."""


@dataclass
class LeaseCounts:
    """Counters since the start."""

    failed_renewals: int = 0
    """Failed renewals of the session."""
    takeovers: int = 0
    """Cameras that were acquired from an instance that had died or ended."""


class Coordinator:
    """Renews the session of this instance, and acquires and releases leases of cameras.

    The lease of a camera names the session that holds it, and is valid as long as that session is
    renewed. It is written only when the holder changes, so the number of renewals does not grow
    with the number of cameras. A session that is not renewed in time never becomes valid again: its
    holder stops first, then the others take its cameras, and the instance begins a new session.

    Only `counts` and `problem` may be read from other threads.

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
        self.counts = LeaseCounts()
        self.problem: str | None = None
        """Why the store cannot be used; None if it can."""
        self._store = store
        self._instance = instance
        self._duration_s = duration_s
        self._look_s = duration_s / LOOKS
        self._host = host
        self._clock = clock
        self._lock = threading.Lock()
        self._members = Members()
        self._me: Record | None = None
        self._until_s = 0.0
        self._renewed_at = 0.0
        self._is_behind = False
        self._assigned: Mapping[str, str] = {}
        self._assigned_for: tuple[frozenset[str], Mapping[str, str]] = (frozenset(), {})

    def tick(self) -> float:
        """Renew the session, and bring the leases of all cameras up to date.

        Returns:
            Seconds after which it should be called again.
        """
        with self._lock:
            return self._tick()

    def leave(self) -> None:
        """End the session, which frees all its leases. All cameras must have been stopped.

        If the store does not answer, others take the cameras when the session has expired.
        """
        # It is locked if the store hangs in `tick`.
        if self._lock.acquire(blocking=False) and self._me is not None:
            with contextlib.suppress(StoreAway, Conflict):
                self._store.delete(self._me, _END_S)

    def _tick(self) -> float:
        began = self._clock()
        self._end_if_late()
        try:
            # Asked once: they must be those that the others are told of.
            wanted = frozenset(self._host.enabled_cameras())
            self._renew(wanted)
            cameras = self._look()
            self._share_out(wanted, cameras)
        except StoreAway as error:
            self._tell(str(error))
            # Called again at the deadline at the latest.
            left = self._until_s - self._clock() if self._me is not None else self._look_s
            return max(0.05, min(self._look_s - (self._clock() - began), left))
        self._tell(None)
        if self._is_behind or self._me is None:
            return 0.05
        wake_at = min(began + self._look_s, self._members.next_end_s() + 0.01)
        return max(0.05, wake_at - self._clock())

    # The session.

    def _end_if_late(self) -> None:
        if self._me is not None and self._clock() >= self._until_s:
            self._end("the leases were not renewed in time")

    def _end(self, reason: str) -> None:
        if self._me is not None:
            self._members.note_end(self._me.name)
        self._me = None
        self._host.extend("", 0.0)
        self._host.lose_leases(reason)

    def _renew(self, wanted: frozenset[str]) -> None:
        """Renew the session, or begin one.

        Raises:
            StoreAway: the store cannot be used; the session stays valid until it expires.
        """
        began = self._clock()
        me = replace(self._me or self._new(), cameras=_digest(wanted))
        try:
            written = self._written(me)
        except StoreAway:
            self.counts.failed_renewals += 1
            raise
        except Conflict:
            self.counts.failed_renewals += 1
            self._end("other instances consider this one dead")
            return
        until_s = began + GUARD * self._duration_s
        # After the deadline, others may have taken cameras before this renewal was stored.
        if self._clock() >= (until_s if self._me is None else self._until_s):
            self._me = written
            self._end("the leases were renewed too late")
            return
        self._me, self._until_s, self._renewed_at = written, until_s, began
        self._host.extend(written.name, until_s)

    def _written(self, me: Record) -> Record:
        try:
            return self._store.write(me, self._timeout_s)
        except Conflict:
            # An earlier renewal may have been stored although its answer was lost.
            found = self._store.records(self._timeout_s).get(("member", me.name))
            if found is None:
                raise
            return self._store.write(replace(me, version=found.version), self._timeout_s)

    @property
    def _timeout_s(self) -> float:
        """Timeout of a request: it ends before the session expires."""
        longest_s = min(self._look_s, REQUEST_TIMEOUT_S)
        if self._me is None:
            return longest_s
        return max(0.05, min(longest_s, self._until_s - self._clock()))

    def _new(self) -> Record:
        session = f"{self._instance}_{secrets.token_hex(4)}"
        return Record("member", session, holder=session, duration_s=self._duration_s)

    # The cameras.

    def _look(self) -> dict[str, Record]:
        asked_at = self._clock()
        records = self._store.records(self._timeout_s)
        self._members.look(
            _of_kind(records, "member").values(), asked_at=asked_at, answered_at=self._clock()
        )
        for member in self._members.dead():
            with contextlib.suppress(Conflict):
                self._store.delete(member, self._timeout_s)
        return _of_kind(records, "camera")

    def _share_out(self, wanted: frozenset[str], cameras: dict[str, Record]) -> None:
        self._end_if_late()
        if self._me is None:
            return
        alive = {member.name: member for member in self._members.alive()}
        # Instances with other cameras, such as during a change of the file, are not counted.
        ours = {
            name: _instance_of(name)
            for name, member in alive.items()
            if member.cameras == self._me.cameras
        }
        shares = self._shares(wanted, ours | {self._me.name: self._instance})
        self._is_behind = False
        for name in sorted(wanted | cameras.keys()):
            before = cameras.get(name, Record("camera", name, duration_s=self._duration_s))
            with contextlib.suppress(Conflict):
                cameras[name] = self._settle(before, shares.get(name, ""), alive)
            is_written = cameras.get(name, before) is not before
            if is_written and self._clock() - self._renewed_at >= self._look_s:
                # With many cameras, the session has to be renewed in between.
                self._is_behind = True
                break
        self._host.note_owners(
            {
                name: Owner(_instance_of(record.holder), record.number)
                for name, record in cameras.items()
                if record.holder in alive and record.holder != self._me.name
            }
        )

    def _shares(self, cameras: frozenset[str], members: Mapping[str, str]) -> Mapping[str, str]:
        # It takes seconds for 10,000 cameras, and seldom changes.
        if self._assigned_for != (cameras, members):
            self._assigned_for = (cameras, members)
            self._assigned = assigned(cameras, members)
        return self._assigned

    def _settle(self, record: Record, share: str, alive: Collection[str]) -> Record:
        """Acquire, keep or release one camera.

        Raises:
            Conflict: another instance changed the record first.
            StoreAway: the store cannot be used.
        """
        assert self._me is not None
        session, name = self._me.name, record.name
        if record.holder == session:
            if share == session:
                self._host.acquire(name, Lease(record.number, session))
                return record
            self._host.release(name)
            if not self._host.is_stopped(name):
                return record
            _log.info("%s: lease %d is released", name, record.number)
            return self._store.write(replace(record, holder=""), self._timeout_s)
        if share != session or record.holder in alive:
            self._host.release(name)
            return record
        taken = replace(
            record, holder=session, number=record.number + 1, duration_s=self._duration_s
        )
        written = self._store.write(taken, self._timeout_s)
        if record.holder:
            self.counts.takeovers += 1
            _log.warning("%s is taken over from %s", name, _instance_of(record.holder))
        self._host.acquire(name, Lease(written.number, session))
        return written

    def _tell(self, problem: str | None) -> None:
        """Log once that the store is not available, and once that it is available again."""
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
                # Without this thread the cameras would stop for good.
                _log.exception("unexpected error while leases were updated; it is tried again")
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


def _instance_of(session: str) -> str:
    return session.rpartition("_")[0]


def _digest(cameras: Collection[str]) -> str:
    return hashlib.sha256("\n".join(sorted(cameras)).encode()).hexdigest()[:16]
