"""The task of a worker for one camera."""

from __future__ import annotations

from dataclasses import dataclass, replace

from yolostream.outputs.recording import Recording
from yolostream.pipeline.job import Job
from yolostream.service.leases.lease import Lease
from yolostream.sources import Source


@dataclass(frozen=True)
class CameraTask:
    """What a worker does with one camera. Tasks can be pickled and compared."""

    source: Source
    """The source, whose name is the camera's."""
    job: Job
    model: str
    """Name of the ensemble that its frames are sent to."""
    recording: Recording | None = None
    """Files that are written; None writes none."""
    lease: Lease | None = None
    """The right to run the camera; None if no other instance runs it."""

    def goes_on_as(self, other: CameraTask) -> bool:
        """Whether the camera can change to the other task while it stays open."""
        job = replace(
            self.job,
            detection_filter=other.job.detection_filter,
            max_age_s=other.job.max_age_s,
            most_per_second=other.job.most_per_second,
        )
        return replace(self, job=job, model=other.model) == other
