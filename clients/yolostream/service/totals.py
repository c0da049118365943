"""What is counted of a camera for as long as the service knows it."""

from __future__ import annotations

from functools import reduce

from yolostream.pipeline.status import Status

_OPEN_RUNS = 4
"""A run that was stopped goes on for seconds: it is heard of beside those that came after it."""


class Totals:
    """Counts of all runs of a camera, which never become less.

    A run counts from zero, and one begins with every change of the camera and with every worker
    that is started again. What a worker that was killed had counted since it last told, half a
    second before at most, is missing.

    Args:
        camera: its name.
    """

    def __init__(self, camera: str) -> None:
        self._ended = Status(camera)
        self._runs: dict[float, Status] = {}

    def note(self, status: Status) -> None:
        """Take the latest figures of a run."""
        self._runs[status.began_at] = status
        if len(self._runs) > _OPEN_RUNS:
            oldest = next(iter(self._runs))
            self._ended = self._ended.plus(self._runs.pop(oldest))

    def figures(self) -> Status:
        """The counts of all runs; what is no count is of no use."""
        return reduce(Status.plus, self._runs.values(), self._ended)
