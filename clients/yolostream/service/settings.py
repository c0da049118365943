"""What people say of the service and its cameras."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    DirectoryPath,
    Field,
    FilePath,
    SecretStr,
    field_validator,
    model_validator,
)

from yolostream.client.detector import DEFAULT_MODEL
from yolostream.errors import SourceError
from yolostream.outputs.hls import Hls
from yolostream.outputs.recording import Recording
from yolostream.outputs.results import Results
from yolostream.outputs.rotation import Rotation
from yolostream.outputs.segments import Segments
from yolostream.pipeline.filters import DetectionFilter
from yolostream.pipeline.job import Job
from yolostream.pipeline.plan import MAX_AGE_S
from yolostream.pipeline.supervision import STALE_AFTER_S, Limits
from yolostream.server.embedded import Profile
from yolostream.service.camera_task import CameraTask
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


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


HIDDEN = SecretStr("**********")
"""What a secret is shown as. Over the API it means the one that there is."""

_RTSP = re.compile("rtsps?://[^/]", re.IGNORECASE)


class OutputSettings(_Section):
    """What is written of a camera, where the configuration has a folder for outputs.

    `true` stands for the usual limits.
    """

    jsonl: Rotation | bool = True
    """JSON Lines: one line a frame."""
    csv: Rotation | bool = False
    """One row an object."""
    segments: Segments | bool = False
    """Annotated MP4 files, one after the other."""
    hls: Hls | bool = False
    """The last seconds, annotated, for players."""
    push: SecretStr | None = None
    """Address of an RTSP server that annotated video is sent to."""

    @field_validator("push")
    @classmethod
    def _is_rtsp(cls, push: SecretStr | None) -> SecretStr | None:
        if push not in (None, HIDDEN) and not _RTSP.match(push.get_secret_value()):
            raise ValueError("push takes the address of an RTSP server: rtsp://host/path")
        return push

    def recording(self, folder: Path) -> Recording:
        """The same, as the pipeline has it."""
        return Recording(
            folder,
            jsonl=_or_usual(self.jsonl, Rotation),
            csv=_or_usual(self.csv, Rotation),
            segments=_or_usual(self.segments, Segments),
            hls=_or_usual(self.hls, Hls),
            push_url=None if self.push is None else self.push.get_secret_value(),
        )


_Limits = TypeVar("_Limits")


def _or_usual(said: _Limits | bool, usual: Callable[[], _Limits]) -> _Limits | None:
    if isinstance(said, bool):
        return usual() if said else None
    return said


class CameraDefaults(_Section):
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
    password: SecretStr | None = None
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
            [self.source], decoder=self.decoder, stream_index=self.stream_index
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


class ClientTls(_Section):
    """How a Triton behind TLS is known, and we to it; files in PEM."""

    ca: FilePath | None = None
    """Root certificates; else the public ones."""
    certificate: FilePath | None = None
    """That a server may ask for."""
    key: FilePath | None = None
    """Its private key."""

    @model_validator(mode="after")
    def _is_a_pair(self) -> ClientTls:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together: name both")
        return self


class ServerSettings(_Section):
    """The Triton that looks at the frames: one that runs somewhere, or one that is started."""

    url: str | None = None
    """Its gRPC address, host:port; several, separated by commas, share the frames. Without it, a
    Triton is started here."""
    token_file: FilePath | None = None
    """File with its token."""
    tls: ClientTls | None = None
    """For a grpcs:// address."""
    profile: Profile | None = None
    """Of the Triton that is started here; by default what the machine allows."""
    model_repository: DirectoryPath | None = None
    """The models that it serves."""
    environment: DirectoryPath | None = None
    """Its Python environment, or an installation of Triton."""

    @model_validator(mode="after")
    def _is_one_of_both(self) -> ServerSettings:
        ours = {"profile", "model_repository", "environment"} & self.model_fields_set
        theirs = {"token_file", "tls"} & self.model_fields_set
        if self.url is not None and ours:
            raise ValueError(
                f"{', '.join(sorted(ours))} is for a Triton that is started here: "
                "leave it out, or url"
            )
        if self.url is None and theirs:
            raise ValueError(
                f"{', '.join(sorted(theirs))} is for a Triton that runs elsewhere: "
                "leave it out, or name its url"
            )
        return self


class WebTls(_Section):
    """How the page proves what it is; files in PEM."""

    certificate: FilePath
    key: FilePath


class WebSettings(_Section):
    """The page and the API."""

    address: str = Field(
        default="127.0.0.1:8080", pattern=r"^(\[[0-9a-fA-F:.]+\]|[^:\[\]]+):\d{1,5}$"
    )
    """Where they are served, host:port; port 0 takes a free one."""
    token_file: FilePath | None = None
    """File with the tokens of those who may use them."""
    tls: WebTls | None = None
    """Serve https://."""
    names: list[str] = []
    """By which browsers reach it, besides addresses and the machine's own name."""
    insecure: bool = False
    """Let others in without a token."""

    @property
    def host(self) -> str:
        """Of the address."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Of the address."""
        return int(self.address.rpartition(":")[2])


class LogSettings(_Section):
    """What the service says of itself, on stderr."""

    format: Literal["console", "json"] = "console"
    """For people, or one JSON object a line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is said. `debug` has every attempt to open a camera that is away."""


class TraceSettings(_Section):
    """Where the ways of single frames are told to: OpenTelemetry's protocol, over HTTP."""

    endpoint: str = Field(pattern=r"^https?://[^/\s]+(/\S*)?$")
    """Of the collector, as in http://127.0.0.1:4318."""
    every: int = Field(default=100, ge=1)
    """One frame of each camera in so many is followed."""
    slow: float = Field(default=1.0, gt=0)
    """So is one that takes more seconds than that, or fails; one a second at most."""
    service_name: str = Field(default="yolostream", min_length=1)
    """What we are called there."""

    @model_validator(mode="after")
    def _has_no_login(self) -> TraceSettings:
        if any(sign in self.endpoint for sign in "@?#"):
            # It is part of a command line, which everybody on the machine reads.
            raise ValueError(
                "an endpoint has no login in it: export OTEL_EXPORTER_OTLP_HEADERS instead"
            )
        return self

    @property
    def url(self) -> str:
        """The endpoint, with its path."""
        base = self.endpoint.rstrip("/")
        return base if base.count("/") > 2 else f"{base}/v1/traces"


class OutputFolder(_Section):
    """Where results go."""

    folder: Path | None = None
    """Each camera has a folder of its name in there. Without it, nothing is written."""


class Configuration(_Section):
    """All of `cameras.yaml`."""

    server: ServerSettings = ServerSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()
    outputs: OutputFolder = OutputFolder()
    traces: TraceSettings | None = None
    """Without it, no frame is followed."""
    state: Path | None = None
    """Folder for what was changed over the API; by default the one of the configuration."""
    defaults: CameraDefaults = CameraDefaults()
    cameras: dict[CameraName, CameraSettings] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _without_empty_sections(cls, said: Any) -> Any:
        """A section whose keys are all comments says nothing."""
        if not isinstance(said, dict):
            return said
        return {
            key: value
            for key, value in said.items()
            if value is not None or key not in cls.model_fields
        }

    def resolved(self, camera: CameraSettings) -> CameraSettings:
        """A camera's settings, with the defaults where it says nothing."""
        said = {name: getattr(camera, name) for name in camera.model_fields_set}
        usual = {name: getattr(self.defaults, name) for name in self.defaults.model_fields_set}
        return CameraSettings.model_validate({**usual, **said})
