"""Which instances are alive, as far as we have seen."""

from __future__ import annotations

from collections.abc import Iterable

from yolostream.service.leases.store import Record


class Members:
    """Notes when the record of each member was first seen as it is.

    Clocks of two machines are never compared: a member is alive for the duration that its record
    tells, by our own clock, since we saw it change. So one that we have just met is alive, too.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Record, float]] = {}
        self._asked_at = 0.0
        self._ended: set[str] = set()

    def note_end(self, session: str) -> None:
        """Take a session for dead from now on: it was ours."""
        self._ended.add(session)

    def look(self, records: Iterable[Record], *, asked_at: float, answered_at: float) -> None:
        """Take the records as they are now.

        Args:
            records: of all members.
            asked_at: when they were asked for, in seconds of one clock.
            answered_at: when they came.
        """
        before, self._seen = self._seen, {}
        for record in records:
            known = before.get(record.name)
            is_same = known is not None and known[0].version == record.version
            self._seen[record.name] = (record, known[1] if known and is_same else answered_at)
        self._asked_at = asked_at

    def alive(self) -> list[Record]:
        """Those that have given a sign in time, at the last look."""
        return [
            record for record, since_s in self._seen.values() if self._is_alive(record, since_s)
        ]

    def dead(self) -> list[Record]:
        """The others."""
        return [
            record for record, since_s in self._seen.values() if not self._is_alive(record, since_s)
        ]

    def next_end_s(self) -> float:
        """Seconds of the same clock at which the first one is dead, unless it gives a sign."""
        ends = [
            since_s + record.duration_s
            for record, since_s in self._seen.values()
            if self._is_alive(record, since_s)
        ]
        return min(ends, default=float("inf"))

    def _is_alive(self, record: Record, since_s: float) -> bool:
        is_in_time = self._asked_at - since_s < record.duration_s
        return is_in_time and record.name not in self._ended
