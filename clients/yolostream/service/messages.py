"""Messages between the service and its workers, besides log records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from yolostream.frame_trace import Trace
from yolostream.pipeline.status import Status
from yolostream.service.camera_task import CameraTask

# Commands, which the service sends to a worker.


@dataclass(frozen=True)
class Run:
    """Run a camera with this task, which replaces its former task."""

    task: CameraTask


@dataclass(frozen=True)
class Drop:
    """Stop a camera."""

    camera: str
    ticket: int
    """Number that the answer `Stopped` repeats."""


@dataclass(frozen=True)
class Watch:
    """Make this for the viewers of a camera from now on."""

    camera: str
    video: bool = False
    pictures: bool = False
    detections: bool = False


@dataclass(frozen=True)
class Extend:
    """Make the leases of this session valid until `until_s` (by `steady_s`), and no others."""

    session: str
    until_s: float


Command = Run | Drop | Watch | Extend


# Reports, which a worker sends to the service.


@dataclass(frozen=True)
class Statuses:
    """The figures of all cameras of a worker, sent several times a second."""

    of_cameras: dict[str, Status]


FragmentKind = Literal["header", "key", "delta"]


@dataclass(frozen=True)
class Fragment:
    """A piece of annotated video."""

    camera: str
    kind: FragmentKind
    """`header` begins a video; a player can start with a `key` after it."""
    data: bytes = field(repr=False)
    """Bytes of a fragmented MP4."""
    codec: str = ""
    """In a header, the name of the codec for browsers, such as `avc1.42C01F`."""


@dataclass(frozen=True)
class Picture:
    """An annotated frame."""

    camera: str
    jpeg: bytes = field(repr=False)


@dataclass(frozen=True)
class Found:
    """The detections in one frame."""

    camera: str
    record: bytes = field(repr=False)
    """The detections as JSON; `docs/outputs.md` shows the schema."""


Made = Fragment | Picture | Found
"""What is made of a frame for viewers."""


@dataclass(frozen=True)
class Transition:
    """The state of a camera has changed."""

    camera: str
    before: str
    after: str
    reason: str
    """Empty if there is no reason to tell."""


@dataclass(frozen=True)
class Switched:
    """A camera uses another ensemble, or could not be switched to it."""

    camera: str
    model: str
    trouble: str = ""
    """Why the camera could not be switched; empty if it was."""


@dataclass(frozen=True)
class Stopped:
    """A camera has stopped, and its outputs are closed."""

    camera: str
    ticket: int
    """Ticket of the `Drop`."""


# A report about a worker, which the service itself makes.


@dataclass(frozen=True)
class WorkerDied:
    """A worker has ended, and will be started again."""

    cameras: tuple[str, ...]
    exit_code: int | None
    wait_s: float
    """Seconds until it is started again."""


FromWorker = Statuses | Made | Trace | Transition | Switched | WorkerDied
