"""Cameras as resources."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Response
from fastapi.requests import HTTPConnection
from pydantic import BaseModel

from yolostream.service.messages import Picture
from yolostream.service.service import Camera, Service

PICTURE_TIMEOUT_S = 2.0
"""A camera that has no frame for so long is away."""

router = APIRouter(prefix="/api/v1")


def service_of(connection: HTTPConnection) -> Service:
    """The service that answers."""
    service: Service = connection.app.state.service
    return service


TheService = Annotated[Service, Depends(service_of)]


class CameraState(BaseModel):
    """How a camera is."""

    name: str
    state: str
    trouble: str
    """What is wrong with it now; empty where nothing is."""
    frames_per_second: float
    objects: int
    """In the newest frame."""
    age_p99_s: float | None
    """Seconds from a frame's decoding to its objects; of all frames."""
    frames_done: int
    dropped: dict[str, int]
    """Frames that were left out, by cause."""
    reconnects: int


@router.get("/cameras")
def list_cameras(service: TheService) -> list[CameraState]:
    """All cameras, in the order in which they were added."""
    with service.cameras() as cameras:
        return [_state_of(name, camera) for name, camera in cameras.items()]


@router.get("/cameras/{name}/frame.jpg")
async def latest_frame(name: str, service: TheService) -> Response:
    """The next annotated frame."""
    loop = asyncio.get_running_loop()
    picture: asyncio.Future[bytes] = loop.create_future()

    def settle(jpeg: bytes) -> None:
        # Nobody waits any more for one that comes late.
        if not picture.done():
            picture.set_result(jpeg)

    def take(taken: Picture) -> None:
        loop.call_soon_threadsafe(settle, taken.jpeg)

    try:
        service.take_picture(name, take)
        jpeg = await asyncio.wait_for(picture, PICTURE_TIMEOUT_S)
    except KeyError:
        raise HTTPException(404, f"there is no camera {name}") from None
    except TimeoutError:
        raise HTTPException(503, f"camera {name} gives no frames now") from None
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


def _state_of(name: str, camera: Camera) -> CameraState:
    status = camera.status
    p99_s = status.result_ages.percentile_s(99)
    return CameraState(
        name=name,
        state=status.state if camera.is_enabled else "disabled",
        trouble=status.trouble,
        frames_per_second=round(camera.frames_per_second, 2),
        objects=status.latest_objects,
        age_p99_s=None if p99_s != p99_s else round(p99_s, 4),
        frames_done=status.frames_done,
        dropped={str(cause): count for cause, count in status.dropped.items()},
        reconnects=status.reconnects,
    )
