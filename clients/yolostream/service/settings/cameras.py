"""The settings of cameras."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from yolostream.client.detector import DEFAULT_MODEL
from yolostream.errors import SourceError
from yolostream.outputs.results import Results
from yolostream.pipeline.filters import DetectionFilter
from yolostream.pipeline.job import Job
from yolostream.pipeline.plan import MAX_AGE_S
from yolostream.pipeline.supervision import STALE_AFTER_S, Limits
from yolostream.service.camera_task import CameraTask
from yolostream.service.settings.outputs import OutputSettings
from yolostream.service.settings.section import Secret, Section
from yolostream.sources import Realtime, Source, Video, find_sources
from yolostream.sources.address import completed
from yolostream.sources.decoding import DecoderName
from yolostream.sources.login import Login

CameraName = Annotated[
    str,
    Field(
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}$",
        description="At most 64 letters, digits, '-' and '_'. It is part of file names and of "
        "addresses of the API.",
    ),
]

TRAIL_S = 3.0
"""Duration in seconds of the trails behind objects."""


def _joined(value: Any) -> Any:
    """Join a list of classes into a text separated by commas."""
    if isinstance(value, list) and all(isinstance(one, str | int) for one in value):
        return ",".join(map(str, value))
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class CameraDefaults(Section):
    """Defaults for cameras that do not set a key themselves."""

    enabled: bool = True
    """Whether the camera runs."""
    fps: float | None = Field(default=None, gt=0)
    """Largest number of frames per second that are processed; by default all. Other frames are
    only decoded."""
    confidence: float = Field(default=0.0, ge=0, le=1)
    """Objects with a lower confidence are left out."""
    classes: Annotated[
        str | None,
        BeforeValidator(_joined, json_schema_input_type=str | list[str | int] | int | None),
    ] = None
    """Names or numbers of the classes to detect, as a list or separated by commas; by default
    all."""
    track: bool = True
    """Whether objects are tracked: an object has the same number in all frames."""
    model: str = DEFAULT_MODEL
    """Name of the ensemble that processes the frames."""
    decoder: DecoderName = "auto"
    """Decoder of the video. `auto` uses the GPU if there is one."""
    max_age: float = Field(default=MAX_AGE_S, gt=0)
    """Age in seconds above which a frame is not sent to the server any more."""
    stale_after: float = Field(default=STALE_AFTER_S, ge=0.5, le=3600)
    """Seconds without a frame after which the camera is opened again."""
    loop: bool = True
    """Whether a video file starts again at its end."""
    stream_index: int | None = Field(default=None, ge=0)
    """Index of the video stream, as FFmpeg counts the streams; by default the one that FFmpeg
    considers the best."""
    outputs: OutputSettings = OutputSettings()
    """Outputs of the camera. If a camera sets this key, all output settings of the defaults are
    replaced."""


class CameraSettings(CameraDefaults):
    """One camera."""

    source: str = Field(min_length=1, repr=False)
    """Address of a camera, number of a local camera, or path of a video file, which plays in real
    time."""
    username: str | None = None
    """User name for the camera, if it is not part of the address."""
    password: Secret | None = None
    """Password for the camera. It may contain any character."""
    password_file: Path | None = None
    """File that contains the password. It is read each time the camera is opened."""

    @model_validator(mode="after")
    def _has_one_login(self) -> CameraSettings:
        if self.password is not None and self.password_file is not None:
            raise ValueError("password and password_file are both set: remove one of them")
        if self.username is None and (self.password or self.password_file):
            raise ValueError("there is a password without a username: add username")
        if self.username is not None:
            if "://" not in self.source:
                raise ValueError("username is only for network addresses: remove it")
            if "@" in self.source:
                raise ValueError("both username and the address name a user: remove one of them")
        return self

    @property
    def login(self) -> Login | None:
        """User name and password that are not part of the address; None if there are none."""
        if self.username is None:
            return None
        password = "" if self.password is None else self.password.get_secret_value()
        return Login(self.username, password, self.password_file)

    def revealed(self) -> dict[str, Any]:
        """The keys that are set, as values for JSON and YAML. Secrets are included."""
        values = self.model_dump(mode="json", exclude_unset=True)
        if self.password is not None:
            values["password"] = self.password.get_secret_value()
        if self.outputs.push is not None:
            values["outputs"]["push"] = self.outputs.push.get_secret_value()
        return values

    def task(self, name: str, folder: Path | None) -> CameraTask:
        """The task of a worker that runs the camera.

        Args:
            name: name of the camera.
            folder: folder for outputs; None writes none.

        Raises:
            SourceError: `source` is not exactly one camera or video.
        """
        job = Job(
            # Outputs are written as a recording, which may continue for any time.
            results=Results(Path(), frozenset()),
            track=self.track,
            # The page shows the name beside the picture.
            title=False,
            trail_s=TRAIL_S,
            detection_filter=DetectionFilter(self.confidence, self.classes),
            max_age_s=self.max_age,
            most_per_second=self.fps or math.inf,
            limits=Limits(self.stale_after, camera_patience_s=math.inf),
        )
        recording = None if folder is None else self.outputs.recording(folder)
        return CameraTask(self._source(name), job, self.model, recording)

    def _source(self, name: str) -> Source:
        found, errors = find_sources(
            [self.source],
            decoder=self.decoder,
            stream_index=self.stream_index,
            waits_for_devices=True,
        )
        if errors:
            raise errors[0]
        if len(found) != 1 or not isinstance(found[0], Video):
            what = "is not a video" if len(found) == 1 else f"stands for {len(found)} files"
            raise SourceError(
                f"the source of camera {name} {what}: name one camera or one video file"
            )
        video = replace(found[0], name=name, login=self.login)
        if video.login is not None:
            # A missing variable or file is reported now, not only when the camera is opened.
            completed(video.uri, video.login)
        return video if video.is_live else Realtime(video, loops=self.loop)
