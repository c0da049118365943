"""What people say of the service and its cameras."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from yolostream.client.detector import DEFAULT_MODEL
from yolostream.errors import SourceError
from yolostream.outputs.results import Results
from yolostream.pipeline.filters import DetectionFilter
from yolostream.pipeline.job import Job
from yolostream.pipeline.plan import MAX_AGE_S
from yolostream.pipeline.supervision import STALE_AFTER_S, Limits
from yolostream.service.camera_task import CameraTask
from yolostream.sources import Realtime, Source, Video, find_sources
from yolostream.sources.decoding import DecoderName

CameraName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}$")]


class CameraSettings(BaseModel):
    """One camera."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(repr=False)
    """Address of a camera, number of a local one, or a video file, which plays like a camera."""
    enabled: bool = True
    confidence: float = Field(default=0.0, ge=0, le=1)
    """Objects that are less certain are left out."""
    classes: str | None = None
    """Names or numbers of classes, separated by commas; all by default."""
    track: bool = True
    model: str = DEFAULT_MODEL
    """Name of the ensemble that looks at its frames."""
    decoder: DecoderName = "auto"
    max_age: float = Field(default=MAX_AGE_S, gt=0)
    """Seconds after which a frame is not worth sending any more."""
    stale_after: float = Field(default=STALE_AFTER_S, gt=0)
    """Seconds without a frame after which the camera is opened again."""
    loop: bool = True
    """A video file begins again at its end."""

    def task(self, name: str, folder: Path | None) -> CameraTask:
        """What a worker is told.

        Args:
            name: of the camera.
            folder: for results; None writes none.

        Raises:
            SourceError: `source` is no single camera or video.
        """
        job = Job(
            results=Results(folder or Path(), frozenset(("jsonl",) if folder else ())),
            track=self.track,
            detection_filter=DetectionFilter(self.confidence, self.classes),
            max_age_s=self.max_age,
            limits=Limits(self.stale_after, camera_patience_s=math.inf),
        )
        return CameraTask(self._source(name), job, self.model)

    def _source(self, name: str) -> Source:
        found, errors = find_sources([self.source], decoder=self.decoder)
        if errors:
            raise errors[0]
        if len(found) != 1 or not isinstance(found[0], Video):
            raise SourceError(f"camera {name}: its source is {len(found)} files, or no video")
        video = Video(**{**vars(found[0]), "name": name})
        return video if video.is_live else Realtime(video, loops=self.loop)


class Configuration(BaseModel):
    """All of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cameras: dict[CameraName, CameraSettings]
