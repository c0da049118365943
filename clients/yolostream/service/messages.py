"""What the service and its workers say to each other, besides log records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from yolostream.frame_trace import Trace
from yolostream.pipeline.status import Status
from yolostream.service.camera_task import CameraTask

# To a worker.


@dataclass(frozen=True)
class Run:
    """Run this camera, in place of what it was told of it before."""

    task: CameraTask


@dataclass(frozen=True)
class Drop:
    """Let go of a camera."""

    camera: str
    ticket: int
    """Comes back in `Stopped`."""


@dataclass(frozen=True)
class Watch:
    """Somebody looks at a camera from now on, or nobody does."""

    camera: str
    video: bool = False
    pictures: bool = False
    detections: bool = False


@dataclass(frozen=True)
class Extend:
    """Leases of this session count until then, by `steady_s`, and no others."""

    session: str
    until_s: float


Command = Run | Drop | Watch | Extend


# From a worker.


@dataclass(frozen=True)
class Statuses:
    """The figures of all its cameras, several times a second."""

    of_cameras: dict[str, Status]


FragmentKind = Literal["header", "key", "delta"]


@dataclass(frozen=True)
class Fragment:
    """A piece of annotated video."""

    camera: str
    kind: FragmentKind
    """`header` begins a video; a player may join at a `key`."""
    data: bytes = field(repr=False)
    """Of a fragmented MP4."""
    codec: str = ""
    """Of a header, as browsers name it: `avc1.42C01F`."""


@dataclass(frozen=True)
class Picture:
    """An annotated frame."""

    camera: str
    jpeg: bytes = field(repr=False)


@dataclass(frozen=True)
class Found:
    """What was found in one frame."""

    camera: str
    record: bytes = field(repr=False)
    """JSON: `docs/outputs.md` has its schema."""


Made = Fragment | Picture | Found
"""Of a frame, while somebody looks."""


@dataclass(frozen=True)
class Transition:
    """A camera's state changed."""

    camera: str
    before: str
    after: str
    reason: str
    """Empty where there is none."""


@dataclass(frozen=True)
class Switched:
    """Another ensemble looks at the frames of a camera, or should and does not."""

    camera: str
    model: str
    trouble: str = ""
    """Why it does not."""


@dataclass(frozen=True)
class Stopped:
    """Nothing of a camera runs any more, and its outputs are closed."""

    camera: str
    ticket: int
    """Of the `Drop`."""


# Of a worker.


@dataclass(frozen=True)
class WorkerDied:
    """It is started again."""

    cameras: tuple[str, ...]
    exit_code: int | None
    wait_s: float
    """Seconds until then."""


FromWorker = Statuses | Made | Trace | Transition | Switched | WorkerDied
