"""Counts of a camera since the service first knew it."""

from __future__ import annotations

from functools import reduce

from yolostream.pipeline.status import Status

_OPEN_RUNS = 4
"""Runs whose reports may still change: a stopped run reports for seconds beside newer ones."""


class Totals:
    """Counts of all runs of a camera, which never decrease.

    Each run counts from zero. A run begins with each change of the camera and each restart of its
    worker. A worker that was killed loses what it counted since its last report, which is at most
    half a second old.

    Args:
        camera: name of the camera.
    """

    def __init__(self, camera: str) -> None:
        self._ended = Status(camera)
        self._runs: dict[float, Status] = {}

    def note(self, status: Status) -> None:
        """Replace the figures of the run that `status` belongs to."""
        self._runs[status.began_at] = status
        if len(self._runs) > _OPEN_RUNS:
            oldest = next(iter(self._runs))
            self._ended = self._ended.plus(self._runs.pop(oldest))

    def figures(self) -> Status:
        """The sum of all runs. Only its counts and durations are meaningful."""
        return reduce(Status.plus, self._runs.values(), self._ended)
