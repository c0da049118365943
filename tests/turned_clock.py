"""A clock that tests turn."""

from __future__ import annotations

from datetime import UTC, datetime

from yolostream.outputs.clock import Clock


class TurnedClock:
    """Two hands: `wall` can be set back, `steady` cannot."""

    def __init__(self, begin: str = "2026-11-28T02:45:00") -> None:
        self.wall = datetime.fromisoformat(begin).replace(tzinfo=UTC).timestamp()
        self.steady = 100.0
        self.clock = Clock(lambda: self.wall, lambda: self.steady)

    def wait(self, seconds: float) -> None:
        # Of whole milliseconds, so that ten times a tenth of a second is one.
        self.wall = round(self.wall + seconds, 3)
        self.steady = round(self.steady + seconds, 3)
