"""Annotated video for browsers: one WebSocket for all cameras that a page shows, or MJPEG."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus

import orjson
from fastapi import APIRouter, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ValidationError
from starlette.websockets import WebSocketDisconnect

from yolostream.service.messages import Found, Fragment, Picture
from yolostream.service.service import Service
from yolostream.service.web.cameras import no_camera
from yolostream.service.web.context import TheService, service_of
from yolostream.service.web.problems import responses

MAX_QUEUED_BYTES = 4_000_000
"""Largest number of bytes queued for one viewer. A slower viewer misses pictures; others do not."""

MAX_QUEUED_MESSAGES = 2000
"""Largest number of messages queued for one viewer."""

MAX_CAMERAS = 256
"""Largest number of cameras for one viewer, separately for video and for detections."""

_BOUNDARY = "picture"

router = APIRouter(prefix="/api/v1")


class Wanted(BaseModel):
    """Message of a viewer: the streams that it wants. It replaces the previous message."""

    video: frozenset[str] = frozenset()
    """Names of cameras whose video is sent."""
    detections: frozenset[str] = frozenset()
    """Names of cameras whose detections are sent."""


@router.websocket("/live")
async def live(socket: WebSocket) -> None:
    """Send video and detections of several cameras over one WebSocket.

    The viewer sends JSON texts such as `{"video": ["gate"], "detections": []}`. Each of them
    replaces the previous one.

    The service sends:

    - `{"camera": "gate", "codec": "avc1.42C01F"}` before a video begins,
    - `{"camera": "gate", "found": {...}}` with the record of JSON Lines of a frame,
    - video as bytes: the length of the camera's name in one byte, the name, and a fragment of a
      fragmented MP4, whose times are `pts_seconds`.
    """
    await socket.accept()
    viewer = _Viewer(service_of(socket))
    sending = asyncio.create_task(viewer.send_to(socket))
    try:
        while True:
            viewer.want(Wanted.model_validate_json(await socket.receive_text()))
    except (WebSocketDisconnect, RuntimeError, KeyError):
        # The viewer is gone, or it sent bytes instead of a text.
        pass
    except ValidationError:
        await socket.close(1007, 'send {"video": [...], "detections": [...]}')
    finally:
        viewer.close()
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
            await sending


@router.get(
    "/cameras/{name}/stream.mjpeg",
    response_class=StreamingResponse,
    responses=responses(HTTPStatus.NOT_FOUND),
)
async def mjpeg(name: str, service: TheService) -> StreamingResponse:
    """Stream annotated frames as MJPEG, for clients that cannot play MP4, such as `<img>` or curl.

    A slow reader misses frames.
    """
    with service.cameras() as cameras:
        if name not in cameras:
            raise no_camera(name)
    return StreamingResponse(
        _parts(service, name),
        media_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY}",
        headers={"Cache-Control": "no-store"},
    )


async def _parts(service: Service, name: str) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    newest: asyncio.Queue[bytes] = asyncio.Queue(1)

    def replace(jpeg: bytes) -> None:
        if newest.full():
            newest.get_nowait()
        newest.put_nowait(jpeg)

    def on_picture(picture: Picture) -> None:
        loop.call_soon_threadsafe(replace, picture.jpeg)

    # The camera may have been removed since the request was checked.
    with contextlib.suppress(KeyError), service.following(name, Picture, on_picture):
        while True:
            jpeg = await newest.get()
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}"
            yield b"%b\r\n\r\n%b\r\n" % (head.encode(), jpeg)


class _Viewer:
    """Subscriptions and queue of one viewer. Only `_on_message` runs outside of the event loop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Fragment | Found] = asyncio.Queue()
        self._queued_bytes = 0
        self._videos: dict[str, contextlib.ExitStack] = {}
        self._detections: dict[str, contextlib.ExitStack] = {}
        # Cameras whose fragments were dropped. Their video continues with the next key frame.
        self._interrupted: set[str] = set()

    def want(self, wanted: Wanted) -> None:
        """Replace the subscriptions."""
        self._follow(self._videos, wanted.video, Fragment)
        self._follow(self._detections, wanted.detections, Found)

    def close(self) -> None:
        """End all subscriptions."""
        self.want(Wanted())

    async def send_to(self, socket: WebSocket) -> None:
        """Send queued messages until the task is cancelled or the viewer is gone."""
        while True:
            message = await self._queue.get()
            self._queued_bytes -= _size_of(message)
            if isinstance(message, Found):
                record = orjson.Fragment(message.record)
                await _send_text(socket, {"camera": message.camera, "found": record})
                continue
            if message.kind == "header":
                await _send_text(socket, {"camera": message.camera, "codec": message.codec})
            name = message.camera.encode()
            await socket.send_bytes(bytes([len(name)]) + name + message.data)

    def _follow(
        self,
        followed: dict[str, contextlib.ExitStack],
        names: frozenset[str],
        kind: type[Fragment] | type[Found],
    ) -> None:
        for name in followed.keys() - names:
            followed.pop(name).close()
        for name in sorted(names - followed.keys())[: MAX_CAMERAS - len(followed)]:
            stack = contextlib.ExitStack()
            # There may be no such camera.
            with contextlib.suppress(KeyError):
                stack.enter_context(self._service.following(name, kind, self._on_message))
                followed[name] = stack

    def _on_message(self, message: Fragment | Found) -> None:
        # The service calls it in its own thread.
        self._loop.call_soon_threadsafe(self._add, message)

    def _add(self, message: Fragment | Found) -> None:
        if not self._accepts(message):
            return
        self._queued_bytes += _size_of(message)
        self._queue.put_nowait(message)

    def _accepts(self, message: Fragment | Found) -> bool:
        is_full = self._queued_bytes > MAX_QUEUED_BYTES or self._queue.qsize() > MAX_QUEUED_MESSAGES
        if isinstance(message, Found):
            return not is_full
        if message.kind == "header":
            # It is queued even if the queue is full: what follows cannot be decoded without it.
            self._interrupted.discard(message.camera)
        elif is_full:
            self._interrupted.add(message.camera)
            return False
        elif message.kind == "key":
            self._interrupted.discard(message.camera)
        return message.camera not in self._interrupted


def _size_of(message: Fragment | Found) -> int:
    return len(message.record if isinstance(message, Found) else message.data)


async def _send_text(socket: WebSocket, message: dict[str, object]) -> None:
    await socket.send_text(orjson.dumps(message).decode())
