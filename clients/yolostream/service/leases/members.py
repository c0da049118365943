"""Liveness of the instances, as seen from this one."""

from __future__ import annotations

from collections.abc import Iterable

from yolostream.service.leases.store import Record


class Members:
    """Remembers when the record of each member was last seen to change.

    A member is alive if its record has changed within its `duration_s`, measured by this machine's
    clock: clocks of two machines are never compared. A member that is seen for the first time is
    alive.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Record, float]] = {}
        self._asked_at = 0.0
        self._ended: set[str] = set()

    def note_end(self, session: str) -> None:
        """Treat a session as dead from now on: it was one of this instance."""
        self._ended.add(session)

    def look(self, records: Iterable[Record], *, asked_at: float, answered_at: float) -> None:
        """Update with the current records.

        Args:
            records: records of all members.
            asked_at: time in seconds at which they were requested.
            answered_at: time in seconds at which they arrived.
        """
        before, self._seen = self._seen, {}
        for record in records:
            known = before.get(record.name)
            is_same = known is not None and known[0].version == record.version
            self._seen[record.name] = (record, known[1] if known and is_same else answered_at)
        self._asked_at = asked_at

    def alive(self) -> list[Record]:
        """Members that were alive at the last update."""
        return [
            record for record, since_s in self._seen.values() if self._is_alive(record, since_s)
        ]

    def dead(self) -> list[Record]:
        """Members that were not."""
        return [
            record for record, since_s in self._seen.values() if not self._is_alive(record, since_s)
        ]

    def next_end_s(self) -> float:
        """Time in seconds at which the next member expires if its record does not change."""
        ends = [
            since_s + record.duration_s
            for record, since_s in self._seen.values()
            if self._is_alive(record, since_s)
        ]
        return min(ends, default=float("inf"))

    def _is_alive(self, record: Record, since_s: float) -> bool:
        is_in_time = self._asked_at - since_s < record.duration_s
        return is_in_time and record.name not in self._ended
