"""Endpoint that streams the detections of a camera."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from yolostream.service.messages import Found
from yolostream.service.web.cameras import no_camera
from yolostream.service.web.context import InContext
from yolostream.service.web.problems import responses

router = APIRouter(tags=["cameras"])


@router.get(
    "/api/v1/cameras/{name}/detections",
    response_class=StreamingResponse,
    responses=responses(HTTPStatus.NOT_FOUND),
)
async def detections(name: str, context: InContext) -> StreamingResponse:
    """Stream a record of JSON Lines for each new frame, as server-sent events."""
    with context.service.cameras() as cameras:
        if name not in cameras:
            raise no_camera(name)
    return context.streams.events(partial(context.service.following, name, Found), _lines_of)


def _lines_of(found: Found) -> bytes:
    return b"data: " + found.record + b"\n\n"
