"""What a worker is told of one camera."""

from __future__ import annotations

from dataclasses import dataclass

from yolostream.pipeline.job import Job
from yolostream.sources import Source


@dataclass(frozen=True)
class CameraTask:
    """What a worker is told of one camera. It can be pickled, and compared with another one."""

    source: Source
    """Its name is the camera's."""
    job: Job
    model: str
    """Name of the ensemble that looks at its frames."""
