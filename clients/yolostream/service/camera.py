"""A camera as the service knows it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace

from yolostream.pipeline.status import Status
from yolostream.service.audience import Audience
from yolostream.service.camera_task import CameraTask
from yolostream.service.leases.lease import Lease, Owner
from yolostream.service.messages import Run
from yolostream.service.recent_ages import RecentAges
from yolostream.service.totals import Totals
from yolostream.service.worker import Worker

_RATE_S = 3.0
"""Seconds over which the frames per second are averaged."""


class Camera:
    """A camera of the service: its task, its figures and its viewers.

    It is not thread-safe.

    Args:
        name: name of the camera.
        task: what a worker does when it runs the camera.
    """

    def __init__(self, name: str, task: CameraTask) -> None:
        self.task = task
        self.is_enabled = False
        """Whether some instance should run it."""
        self.worker: Worker | None = None
        """The worker that runs it; None if it is disabled or does not run on this instance."""
        self.lease: Lease | None = None
        """The right to run it, if several instances share the cameras."""
        self.owner: Owner | None = None
        """The other instance that runs it."""
        self.audience = Audience(name)
        self.totals = Totals(name)
        """Figures of all its runs."""
        self.status = Status(name)
        """Figures of its latest run."""
        self.ages = RecentAges()
        """Ages of the results of its latest run."""
        self._name = name
        # Reports of this run in the last seconds, with their times of arrival.
        self._reports: deque[tuple[float, Status]] = deque()

    @property
    def state(self) -> str:
        """One of `yolostream.pipeline.status.State`, `disabled` or `elsewhere`."""
        if not self.is_enabled:
            return "disabled"
        is_elsewhere = self.worker is None and self.owner is not None
        return "elsewhere" if is_elsewhere else self.status.state

    @property
    def recent(self) -> Status:
        """Figures of the last seconds."""
        return self.status.since(self._reports[0][1]) if self._reports else self.status

    @property
    def frames_per_second(self) -> float:
        """Frames done per second, averaged over the last seconds."""
        if len(self._reports) < 2:
            return 0.0
        return self.recent.frames_done / (self._reports[-1][0] - self._reports[0][0])

    def run_on(self, worker: Worker) -> None:
        """Run the task on this worker. It replaces a task that runs there already."""
        self.worker = worker
        worker.run(Run(replace(self.task, lease=self.lease)))
        self.update_watch()

    def stop(self) -> None:
        """Stop the camera, if it runs, and give up its lease."""
        if self.worker is not None:
            self.worker.drop(self._name)
        self.worker = self.lease = None
        self.status = Status(self._name)
        self._reset_figures()

    def update_watch(self) -> None:
        """Tell the worker what the viewers want now."""
        if self.worker is not None:
            self.worker.watch(self.audience.wanted)

    def note(self, status: Status) -> None:
        """Update the figures. A stopped run may still report its last frames."""
        self.totals.note(status)
        if self.worker is None:
            return
        if status.began_at != self.status.began_at:
            self._reset_figures()
        self.status = status
        now = time.monotonic()
        self._reports.append((now, status))
        while now - self._reports[0][0] > _RATE_S:
            self._reports.popleft()
        self.ages.note(now, status.result_ages)

    def _reset_figures(self) -> None:
        self.ages = RecentAges()
        self._reports.clear()
