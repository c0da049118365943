"""Endpoints that read cameras: their state, their settings and their newest frame."""

from __future__ import annotations

import asyncio
import math
from http import HTTPStatus

from fastapi import APIRouter, Response
from pydantic import BaseModel

from yolostream.service.camera import Camera
from yolostream.service.messages import Picture
from yolostream.service.service import Service
from yolostream.service.settings import CameraSettings
from yolostream.service.web.context import Context, InContext, TheService
from yolostream.service.web.hidden import without_secrets
from yolostream.service.web.problems import Problem, responses

PICTURE_TIMEOUT_S = 2.0
"""Seconds that `frame.jpg` waits for a frame."""

router = APIRouter(prefix="/api/v1", tags=["cameras"])


class CameraState(BaseModel):
    """State, measurements and settings of a camera."""

    name: str
    state: str
    trouble: str
    """Current error; empty if there is none."""
    frames_per_second: float
    objects: int
    """Objects in the newest frame."""
    age_s: float | None
    """Median age of results in the last seconds: seconds from the decoding of a frame until its
    objects are known. None if there were no results."""
    age_p50_s: float | None
    """The same over the last minute."""
    age_p99_s: float | None
    """The 99th percentile over the last minute."""
    away_since: float | None
    """Unix time in seconds at which the current error began; None if there is none."""
    retry_at: float | None
    """Unix time in seconds of the next attempt to open the camera; None if none is scheduled."""
    frames_done: int
    dropped: dict[str, int]
    """Frames that were dropped, by cause."""
    reconnects: int
    size: tuple[int, int] | None
    """Width and height of the frames; None before the first."""
    model: str
    """Ensemble that is used now; empty while the camera is connected to none."""
    model_trouble: str
    """Why another ensemble than that of the settings is used; empty if it is the same."""
    instance: str | None
    """With leases: the instance that runs the camera; None while no instance does."""
    lease: int | None
    """Number of that instance's lease. It grows by one with each new owner."""
    settings: CameraSettings
    """Settings without secrets."""


@router.get("/cameras")
def list_cameras(context: InContext) -> list[CameraState]:
    """List all cameras in the order in which they were added."""
    settings = context.control.settings()
    with context.service.cameras() as cameras:
        return [
            _state_of(context.service, name, camera, settings[name])
            for name, camera in cameras.items()
            if name in settings
        ]


@router.get("/cameras/{name}", responses=responses(HTTPStatus.NOT_FOUND))
def one_camera(name: str, context: InContext, response: Response) -> CameraState:
    """Get one camera. The header `ETag` is the version of its settings, for `If-Match`."""
    response.headers["ETag"] = etag(context, name)
    return state_of(context, name)


@router.get(
    "/cameras/{name}/frame.jpg",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        **responses(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
    },
)
async def latest_frame(name: str, service: TheService) -> Response:
    """Get the next annotated frame."""
    loop = asyncio.get_running_loop()
    picture: asyncio.Future[bytes] = loop.create_future()

    def resolve(jpeg: bytes) -> None:
        if not picture.done():
            picture.set_result(jpeg)

    def on_picture(received: Picture) -> None:
        loop.call_soon_threadsafe(resolve, received.jpeg)

    try:
        with service.following(name, Picture, on_picture):
            jpeg = await asyncio.wait_for(picture, PICTURE_TIMEOUT_S)
    except KeyError:
        raise no_camera(name) from None
    except TimeoutError:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"camera {name} has no frames at the moment",
            f"GET /api/v1/cameras/{name} tells why; try again when its state is 'live'",
            kind="no-frames",
            headers={"Retry-After": "2"},
        ) from None
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


def state_of(context: Context, name: str) -> CameraState:
    """State of a camera.

    Raises:
        Problem: there is no camera of this name.
    """
    settings = context.control.settings()
    with context.service.cameras() as cameras:
        if name not in cameras or name not in settings:
            raise no_camera(name)
        return _state_of(context.service, name, cameras[name], settings[name])


def etag(context: Context, name: str) -> str:
    """Version of a camera's settings, as an entity tag.

    Raises:
        Problem: there is no camera of this name.
    """
    try:
        return f'"{context.control.version(name)}"'
    except KeyError:
        raise no_camera(name) from None


def no_camera(name: str) -> Problem:
    """Error for the name of a camera that does not exist."""
    return Problem(
        HTTPStatus.NOT_FOUND,
        f"there is no camera {name[:64]!r}",
        "GET /api/v1/cameras lists them",
        kind="no-camera",
    )


def _state_of(service: Service, name: str, camera: Camera, settings: CameraSettings) -> CameraState:
    status = camera.status
    instance, lease = _owner_of(service, camera)
    return CameraState(
        name=name,
        state=camera.state,
        trouble=status.trouble,
        frames_per_second=round(camera.frames_per_second, 2),
        objects=status.latest_objects,
        age_s=_seconds(camera.recent.result_ages.percentile_s(50)),
        age_p50_s=_seconds(camera.ages.percentile_s(50)),
        age_p99_s=_seconds(camera.ages.percentile_s(99)),
        away_since=status.away_since,
        retry_at=status.retry_at,
        frames_done=status.frames_done,
        dropped={str(cause): count for cause, count in status.dropped.items()},
        reconnects=status.reconnects,
        size=None if status.size is None else (status.size[1], status.size[0]),
        model=status.model,
        model_trouble=status.model_trouble,
        instance=instance,
        lease=lease,
        settings=without_secrets(settings),
    )


def _owner_of(service: Service, camera: Camera) -> tuple[str | None, int | None]:
    if camera.lease is not None:
        return service.leased.instance, camera.lease.number
    return (None, None) if camera.owner is None else (camera.owner.instance, camera.owner.number)


def _seconds(percentile_s: float) -> float | None:
    return None if math.isnan(percentile_s) else round(percentile_s, 4)
