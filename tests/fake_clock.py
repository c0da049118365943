"""A clock that tests set."""

from __future__ import annotations

from datetime import UTC, datetime

from yolostream.outputs.clock import Clock


class FakeClock:
    """`clock` returns the times `wall` and `steady`, which tests set."""

    def __init__(self, begin: str = "2026-11-28T02:45:00") -> None:
        self.wall = datetime.fromisoformat(begin).replace(tzinfo=UTC).timestamp()
        self.steady = 100.0
        self.clock = Clock(lambda: self.wall, lambda: self.steady)

    def wait(self, seconds: float) -> None:
        # Rounded to milliseconds, so that ten tenths of a second make exactly one second.
        self.wall = round(self.wall + seconds, 3)
        self.steady = round(self.steady + seconds, 3)
