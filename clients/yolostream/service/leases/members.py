"""Liveness of all instances, as observed by this one."""

from __future__ import annotations

from collections.abc import Iterable

from yolostream.service.leases.store import Record


class Members:
    """Remembers when the record of each member was last seen to change.

    A member is fresh if its record has changed within its `duration_s`, measured by this machine's
    clock. Clocks of different machines are never compared. A member that is seen for the first time
    is fresh.

    A fresh member is either alive, or has released all its leases: then its record has no holder.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Record, float]] = {}
        self._asked_at = 0.0
        self._ended: set[str] = set()
        self._released: set[str] = set()

    def note_end(self, session: str) -> None:
        """Treat a former session of this instance as dead from now on."""
        self._ended.add(session)

    def update(self, records: Iterable[Record], *, asked_at: float, answered_at: float) -> None:
        """Compare the current records with the previous ones.

        Args:
            records: current records of all members.
            asked_at: time in seconds at which they were requested.
            answered_at: time in seconds at which they arrived.
        """
        before, self._seen = self._seen, {}
        for record in records:
            known = before.get(record.name)
            is_same = known is not None and known[0].version == record.version
            self._seen[record.name] = (record, known[1] if known and is_same else answered_at)
            if not record.holder:
                self._released.add(record.name)
        self._asked_at = asked_at

    def alive(self) -> list[Record]:
        """Members that were alive at the last update."""
        return [record for record, _ in self._seen.values() if self._is_alive(record)]

    def is_released(self, session: str) -> bool:
        """Whether an update has shown that a session released all its leases."""
        return session in self._released

    def dead(self) -> list[Record]:
        """Members that were not fresh at the last update. Their records are to be deleted."""
        return [record for record, _ in self._seen.values() if not self._is_fresh(record)]

    def next_end_s(self) -> float:
        """Time in seconds at which the next member expires if its record does not change."""
        ends = [
            since_s + record.duration_s
            for record, since_s in self._seen.values()
            if self._is_alive(record)
        ]
        return min(ends, default=float("inf"))

    def _is_alive(self, record: Record) -> bool:
        return bool(record.holder) and self._is_fresh(record)

    def _is_fresh(self, record: Record) -> bool:
        _, since_s = self._seen[record.name]
        is_in_time = self._asked_at - since_s < record.duration_s
        return is_in_time and record.name not in self._ended
