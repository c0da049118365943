"""What people say of cameras."""

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
        description="At most 64 letters, digits, '-' and '_'. It names files and addresses.",
    ),
]
"""Of one camera: it is part of names of files, and of addresses of the API."""

TRAIL_S = 3.0
"""Seconds that the trails of objects reach back."""


def _joined(value: Any) -> Any:
    """Several classes as one text: a list is easier to read in a file."""
    if isinstance(value, list) and all(isinstance(one, str | int) for one in value):
        return ",".join(map(str, value))
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class CameraDefaults(Section):
    """What holds for every camera that says nothing else."""

    enabled: bool = True
    """A camera that is not is left alone, and keeps its place."""
    fps: float | None = Field(default=None, gt=0)
    """Frames per second that are looked at, at most; all by default. The others are decoded, and
    cost no more than that."""
    confidence: float = Field(default=0.0, ge=0, le=1)
    """Objects that are less certain are left out."""
    classes: Annotated[
        str | None,
        BeforeValidator(_joined, json_schema_input_type=str | list[str | int] | int | None),
    ] = None
    """Names or numbers of classes, as a list or separated by commas; all by default."""
    track: bool = True
    """Number the objects through time."""
    model: str = DEFAULT_MODEL
    """Name of the ensemble that looks at its frames."""
    decoder: DecoderName = "auto"
    """What decodes its video; `auto` is the GPU where there is one."""
    max_age: float = Field(default=MAX_AGE_S, gt=0)
    """Seconds after which a frame is not worth sending any more."""
    stale_after: float = Field(default=STALE_AFTER_S, ge=0.5, le=3600)
    """Seconds without a frame after which the camera is opened again."""
    loop: bool = True
    """A video file begins again at its end."""
    stream_index: int | None = Field(default=None, ge=0)
    """Which of its streams, as FFmpeg counts them; by default the one it takes for the best."""
    outputs: OutputSettings = OutputSettings()
    """What is written of it. What a camera says takes the place of all that the defaults say."""


class CameraSettings(CameraDefaults):
    """One camera."""

    source: str = Field(min_length=1, repr=False)
    """Address of a camera, number of a local one, or a video file, which plays like a camera."""
    username: str | None = None
    """Of the camera, where it is not part of the address."""
    password: Secret | None = None
    """Of the camera. It may have any character in it."""
    password_file: Path | None = None
    """File with the password in it instead. It is read whenever the camera is opened."""

    @model_validator(mode="after")
    def _has_one_login(self) -> CameraSettings:
        if self.password is not None and self.password_file is not None:
            raise ValueError("password and password_file are two passwords: leave one of them out")
        if self.username is None and (self.password or self.password_file):
            raise ValueError("there is a password of nobody: name the username")
        if self.username is not None:
            if "://" not in self.source:
                raise ValueError("only an address of a camera has a username: leave it out")
            if "@" in self.source:
                raise ValueError("the address has a user in it, too: leave one of them out")
        return self

    @property
    def login(self) -> Login | None:
        """Of the camera, apart from its address."""
        if self.username is None:
            return None
        password = "" if self.password is None else self.password.get_secret_value()
        return Login(self.username, password, self.password_file)

    def revealed(self) -> dict[str, Any]:
        """What it says itself, in words that JSON and YAML know. It has the password in it."""
        said = self.model_dump(mode="json", exclude_unset=True)
        if self.password is not None:
            said["password"] = self.password.get_secret_value()
        if self.outputs.push is not None:
            said["outputs"]["push"] = self.outputs.push.get_secret_value()
        return said

    def task(self, name: str, folder: Path | None) -> CameraTask:
        """What a worker is told.

        Args:
            name: of the camera.
            folder: for results; None writes none.

        Raises:
            SourceError: `source` is no single camera or video.
        """
        job = Job(
            # A recording takes their place: it may go on for ever.
            results=Results(Path(), frozenset()),
            track=self.track,
            # The page says the name beside the picture.
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
            raise SourceError(f"camera {name}: its source is {len(found)} files, or no video")
        video = replace(found[0], name=name, login=self.login)
        if video.login is not None:
            # It says what is missing now, and not only where the camera is opened.
            completed(video.uri, video.login)
        return video if video.is_live else Realtime(video, loops=self.loop)
