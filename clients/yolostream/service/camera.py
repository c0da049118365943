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
"""Frames per second are counted over so long."""


class Camera:
    """A camera that the service knows: what it is to do, its figures, and who looks at it.

    One thread at a time may use it.

    Args:
        name: its name.
        task: what is done with it once it runs.
    """

    def __init__(self, name: str, task: CameraTask) -> None:
        self.task = task
        self.is_enabled = False
        """Whether it is to be run, here or elsewhere."""
        self.worker: Worker | None = None
        """Runs it; None where it is paused, or not ours."""
        self.lease: Lease | None = None
        """The right to run it, where several instances share cameras out."""
        self.owner: Owner | None = None
        """The other instance that runs it."""
        self.audience = Audience(name)
        self.totals = Totals(name)
        """Of all its runs."""
        self.status = Status(name)
        """Of its latest run."""
        self.ages = RecentAges()
        """Of the results of this run."""
        self._name = name
        # Figures of this run in the last seconds, and when they came.
        self._noted: deque[tuple[float, Status]] = deque()

    @property
    def state(self) -> str:
        """What it is at: one of `yolostream.pipeline.status.State`, `disabled` or `elsewhere`."""
        if not self.is_enabled:
            return "disabled"
        is_elsewhere = self.worker is None and self.owner is not None
        return "elsewhere" if is_elsewhere else self.status.state

    @property
    def recent(self) -> Status:
        """What was counted in the last seconds."""
        return self.status.since(self._noted[0][1]) if self._noted else self.status

    @property
    def frames_per_second(self) -> float:
        """Of the last seconds."""
        if len(self._noted) < 2:
            return 0.0
        return self.recent.frames_done / (self._noted[-1][0] - self._noted[0][0])

    def run_on(self, worker: Worker) -> None:
        """Have its task done there, in place of what was done of it before."""
        self.worker = worker
        worker.run(Run(replace(self.task, lease=self.lease)))
        self.tell_what_is_wanted()

    def rest(self) -> None:
        """Run no more."""
        if self.worker is not None:
            self.worker.drop(self._name)
        self.worker = self.lease = None
        self.status = Status(self._name)
        self._begin_anew()

    def tell_what_is_wanted(self) -> None:
        """Have the worker make what its audience wants, and nothing else."""
        if self.worker is not None:
            self.worker.watch(self.audience.wanted)

    def note(self, status: Status) -> None:
        """Take the latest figures of a run: one that was stopped may tell of its last frames."""
        self.totals.note(status)
        if self.worker is None:
            return
        if status.began_at != self.status.began_at:
            self._begin_anew()
        self.status = status
        now = time.monotonic()
        self._noted.append((now, status))
        while now - self._noted[0][0] > _RATE_S:
            self._noted.popleft()
        self.ages.note(now, status.result_ages)

    def _begin_anew(self) -> None:
        """Of another run, nothing was noted."""
        self.ages = RecentAges()
        self._noted.clear()
