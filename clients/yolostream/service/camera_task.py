"""What a worker is told of one camera."""

from __future__ import annotations

from dataclasses import dataclass, replace

from yolostream.outputs.recording import Recording
from yolostream.pipeline.job import Job
from yolostream.service.leases.lease import Lease
from yolostream.sources import Source


@dataclass(frozen=True)
class CameraTask:
    """What a worker is told of one camera. It can be pickled, and compared with another one."""

    source: Source
    """Its name is the camera's."""
    job: Job
    model: str
    """Name of the ensemble that looks at its frames."""
    recording: Recording | None = None
    """What is written of it."""
    lease: Lease | None = None
    """The right to run it; None where it is nobody else's."""

    def goes_on_as(self, other: CameraTask) -> bool:
        """Whether one that runs becomes the other from one frame to the next."""
        job = replace(
            self.job,
            detection_filter=other.job.detection_filter,
            max_age_s=other.job.max_age_s,
            most_per_second=other.job.most_per_second,
        )
        return replace(self, job=job, model=other.model) == other
