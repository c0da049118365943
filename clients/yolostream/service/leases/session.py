"""The session of an instance: it is renewed, and all leases of the instance expire with it."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Callable, Collection
from dataclasses import replace

from yolostream.service.leases.host import CameraHost
from yolostream.service.leases.lease import GUARD
from yolostream.service.leases.members import Members
from yolostream.service.leases.store import Conflict, Record, Store, StoreUnavailable

RENEWALS = 4
"""Renewals of the session within its duration."""

REQUEST_TIMEOUT_S = 4.0
"""Longest timeout of a request to the store, however long the leases last."""


class Session:
    """Begins, renews and ends the session of this instance.

    A session that is not renewed in time never becomes valid again: its holder stops its cameras
    first. Then other instances take them, and this one begins a new session.

    Args:
        store: store that all instances share.
        instance: name of this instance.
        duration_s: seconds without renewal after which others consider this instance dead.
        host: runs the cameras.
        members: learns which sessions have ended.
        clock: returns the current time in seconds.
    """

    def __init__(
        self,
        store: Store,
        instance: str,
        duration_s: int,
        host: CameraHost,
        members: Members,
        clock: Callable[[], float],
    ) -> None:
        self.record: Record | None = None
        """Record of the session in the store; None before it begins and after it ends."""
        self.until_s = 0.0
        """Time at which it expires, unless it is renewed."""
        self.renewed_at = 0.0
        """Time at which the last successful renewal began."""
        self.failed_renewals = 0
        """Failed renewals since the start."""
        self.period_s = duration_s / RENEWALS
        """Seconds between two renewals."""
        self._store = store
        self._instance = instance
        self._duration_s = duration_s
        self._host = host
        self._members = members
        self._clock = clock

    @property
    def timeout_s(self) -> float:
        """Timeout of a request, in seconds: it ends before the session expires."""
        longest_s = min(self.period_s, REQUEST_TIMEOUT_S)
        if self.record is None:
            return longest_s
        return max(0.05, min(longest_s, self.until_s - self._clock()))

    def end_if_late(self) -> None:
        """End the session if it has expired."""
        if self.record is not None and self._clock() >= self.until_s:
            self._end("the leases were not renewed in time")

    def renew(self, cameras: Collection[str]) -> None:
        """Renew the session, or begin one.

        Args:
            cameras: names of all cameras that should run on some instance.

        Raises:
            StoreUnavailable: the store cannot be used; the session stays valid until it expires.
        """
        began = self._clock()
        me = replace(self.record or self._new(), cameras=_digest(cameras))
        try:
            written = self._written(me)
        except StoreUnavailable:
            self.failed_renewals += 1
            raise
        except Conflict:
            self.failed_renewals += 1
            self._end("other instances consider this one dead")
            return
        until_s = began + GUARD * self._duration_s
        # After the deadline, others may have taken cameras before this renewal was stored.
        if self._clock() >= (until_s if self.record is None else self.until_s):
            self.record = written
            self._end("the leases were renewed too late")
            return
        self.record, self.until_s, self.renewed_at = written, until_s, began
        self._host.extend(written.name, until_s)

    def leave(self, timeout_s: float) -> None:
        """Release all leases of the session at once.

        The record stays without a holder until it is as old as its duration, so that others can
        tell released leases from expired ones.
        """
        if self.record is not None:
            with contextlib.suppress(StoreUnavailable, Conflict):
                self._store.write(replace(self.record, holder=""), timeout_s)

    def _end(self, reason: str) -> None:
        if self.record is not None:
            self._members.note_end(self.record.name)
        self.record = None
        self._host.extend("", 0.0)
        self._host.lose_leases(reason)

    def _written(self, me: Record) -> Record:
        try:
            return self._store.write(me, self.timeout_s)
        except Conflict:
            # An earlier renewal may have been stored although its response was lost.
            found = self._store.records(self.timeout_s).get(("member", me.name))
            if found is None:
                raise
            return self._store.write(replace(me, version=found.version), self.timeout_s)

    def _new(self) -> Record:
        session = f"{self._instance}_{secrets.token_hex(4)}"
        return Record("member", session, holder=session, duration_s=self._duration_s)


def instance_of(session: str) -> str:
    """Name of the instance that a session belongs to."""
    return session.rpartition("_")[0]


def _digest(cameras: Collection[str]) -> str:
    return hashlib.sha256("\n".join(sorted(cameras)).encode()).hexdigest()[:16]
