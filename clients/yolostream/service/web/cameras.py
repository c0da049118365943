"""Cameras as resources."""

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
from yolostream.service.web.hidden import shown
from yolostream.service.web.problems import Problem, responses

PICTURE_TIMEOUT_S = 2.0
"""A camera that has no frame for so long is away."""

router = APIRouter(prefix="/api/v1", tags=["cameras"])


class CameraState(BaseModel):
    """How a camera is."""

    name: str
    state: str
    trouble: str
    """What is wrong with it now; empty where nothing is."""
    frames_per_second: float
    objects: int
    """In the newest frame."""
    age_s: float | None
    """Seconds from a frame's decoding to its objects, half the frames of the last seconds were
    younger; None without any."""
    age_p50_s: float | None
    """Seconds from a frame's decoding to its objects, of the last minute; None without any."""
    age_p99_s: float | None
    away_since: float | None
    """Unix time in seconds at which its trouble began; None where there is none."""
    retry_at: float | None
    """Unix time in seconds at which it is opened again; None where it is not waited for."""
    frames_done: int
    dropped: dict[str, int]
    """Frames that were left out, by cause."""
    reconnects: int
    size: tuple[int, int] | None
    """Width and height of its pictures; None before the first."""
    model: str
    """The ensemble that looks at its frames now; empty while it is not connected to any."""
    model_trouble: str
    """Why it is not the one of the settings; empty where it is."""
    instance: str | None
    """Which runs it, where several share cameras out; None while none does."""
    lease: int | None
    """Number of that instance's lease. It grows by one with each that takes the camera."""
    settings: CameraSettings
    """Without user, password and whatever else may be secret in its address."""


@router.get("/cameras")
def list_cameras(context: InContext) -> list[CameraState]:
    """All cameras, in the order in which they were added."""
    settings = context.control.settings()
    with context.service.cameras() as cameras:
        return [
            _state_of(context.service, name, camera, settings[name])
            for name, camera in cameras.items()
            if name in settings
        ]


@router.get("/cameras/{name}", responses=responses(HTTPStatus.NOT_FOUND))
def one_camera(name: str, context: InContext, response: Response) -> CameraState:
    """One camera. The header `ETag` is the version of its settings, for `If-Match`."""
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
    """The next annotated frame."""
    loop = asyncio.get_running_loop()
    picture: asyncio.Future[bytes] = loop.create_future()

    def settle(jpeg: bytes) -> None:
        if not picture.done():
            picture.set_result(jpeg)

    def take(taken: Picture) -> None:
        loop.call_soon_threadsafe(settle, taken.jpeg)

    try:
        with service.following(name, Picture, take):
            jpeg = await asyncio.wait_for(picture, PICTURE_TIMEOUT_S)
    except KeyError:
        raise no_camera(name) from None
    except TimeoutError:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"camera {name} gives no frames now",
            "its state says why: ask again when it is live",
            kind="no-frames",
            headers={"Retry-After": "2"},
        ) from None
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


def state_of(context: Context, name: str) -> CameraState:
    """How a camera is.

    Raises:
        Problem: there is none of this name.
    """
    settings = context.control.settings()
    with context.service.cameras() as cameras:
        if name not in cameras or name not in settings:
            raise no_camera(name)
        return _state_of(context.service, name, cameras[name], settings[name])


def etag(context: Context, name: str) -> str:
    """The version of a camera's settings.

    Raises:
        Problem: there is none of this name.
    """
    try:
        return f'"{context.control.version(name)}"'
    except KeyError:
        raise no_camera(name) from None


def no_camera(name: str) -> Problem:
    """That there is none of this name."""
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
        settings=shown(settings),
    )


def _owner_of(service: Service, camera: Camera) -> tuple[str | None, int | None]:
    if camera.lease is not None:
        return service.leased.instance, camera.lease.number
    return (None, None) if camera.owner is None else (camera.owner.instance, camera.owner.number)


def _seconds(percentile_s: float) -> float | None:
    return None if math.isnan(percentile_s) else round(percentile_s, 4)
