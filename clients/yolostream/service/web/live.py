"""Annotated video for browsers: one WebSocket for all cameras that a page shows, or MJPEG."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import orjson
from fastapi import APIRouter, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ValidationError
from starlette.websockets import WebSocketDisconnect

from yolostream.service.messages import Found, Fragment, Picture
from yolostream.service.service import Service
from yolostream.service.web.cameras import no_camera
from yolostream.service.web.context import TheService, service_of

MOST_BYTES_WAITING = 4_000_000
"""What waits for one viewer at most; one that takes less misses pictures, and nobody else does."""

MOST_MESSAGES_WAITING = 2000
"""The same for small ones."""

MOST_CAMERAS = 256
"""That one viewer may look at."""

_BOUNDARY = "picture"

router = APIRouter(prefix="/api/v1")


class Wanted(BaseModel):
    """What a viewer wants from now on, in place of what it wanted before."""

    video: frozenset[str] = frozenset()
    """Names of cameras whose video is sent."""
    detections: frozenset[str] = frozenset()
    """Names of cameras of which is told what is found in each frame."""


@router.websocket("/live")
async def live(socket: WebSocket) -> None:
    """Send video and detections of the cameras that the viewer names, as often as it likes.

    It names them as JSON, `{"video": ["gate"], "detections": []}`, all of them each time.
    It is sent `{"camera": "gate", "codec": "avc1.42C01F"}` where a video begins, the frame's record
    as `{"camera": "gate", "found": {...}}`, and the video as bytes: the length of the camera's name
    in one byte, the name, and a piece of a fragmented MP4. Its times are `pts_seconds`.
    """
    await socket.accept()
    viewer = _Viewer(service_of(socket))
    sending = asyncio.create_task(viewer.send_to(socket))
    try:
        while True:
            viewer.want(Wanted.model_validate_json(await socket.receive_text()))
    except (WebSocketDisconnect, RuntimeError, KeyError):
        # Gone, or it sent bytes, which is nothing that we know.
        pass
    except ValidationError:
        await socket.close(1007, 'say {"video": [...], "detections": [...]}')
    finally:
        viewer.close()
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
            await sending


@router.get("/cameras/{name}/stream.mjpeg", response_class=StreamingResponse)
async def mjpeg(name: str, service: TheService) -> StreamingResponse:
    """Annotated frames one after the other, for what plays no MP4: `<img>`, curl, old players.

    A reader that is slow misses frames.
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

    def take(picture: Picture) -> None:
        loop.call_soon_threadsafe(replace, picture.jpeg)

    # One that was removed in this moment has no pictures.
    with contextlib.suppress(KeyError), service.following(name, Picture, take):
        while True:
            jpeg = await newest.get()
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}"
            yield b"%b\r\n\r\n%b\r\n" % (head.encode(), jpeg)


class _Viewer:
    """What one viewer wants, and what waits for it. All but callbacks runs in the web's thread."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[Fragment | Found] = asyncio.Queue()
        self._bytes_waiting = 0
        self._videos: dict[str, contextlib.ExitStack] = {}
        self._detections: dict[str, contextlib.ExitStack] = {}
        # Cameras of which something was left out: the next key is where it goes on.
        self._missed: set[str] = set()

    def want(self, wanted: Wanted) -> None:
        """Begin to look at some cameras, and leave others."""
        self._follow(self._videos, wanted.video, Fragment)
        self._follow(self._detections, wanted.detections, Found)

    def close(self) -> None:
        """It is gone."""
        self.want(Wanted())

    async def send_to(self, socket: WebSocket) -> None:
        """Send all that comes, until cancelled or the viewer is gone."""
        while True:
            message = await self._waiting.get()
            self._bytes_waiting -= _size_of(message)
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
        for name in sorted(names - followed.keys())[: MOST_CAMERAS - len(followed)]:
            stack = contextlib.ExitStack()
            # One that is not there (any more) has nothing to show.
            with contextlib.suppress(KeyError):
                stack.enter_context(self._service.following(name, kind, self._take))
                followed[name] = stack

    def _take(self, message: Fragment | Found) -> None:
        # Called in the service's thread.
        self._loop.call_soon_threadsafe(self._add, message)

    def _add(self, message: Fragment | Found) -> None:
        if not self._goes_on_with(message):
            return
        self._bytes_waiting += _size_of(message)
        self._waiting.put_nowait(message)

    def _goes_on_with(self, message: Fragment | Found) -> bool:
        is_full = (
            self._bytes_waiting > MOST_BYTES_WAITING
            or self._waiting.qsize() > MOST_MESSAGES_WAITING
        )
        if isinstance(message, Found):
            return not is_full
        if message.kind == "header":
            # Nothing after it makes sense without.
            self._missed.discard(message.camera)
        elif is_full:
            self._missed.add(message.camera)
            return False
        elif message.kind == "key":
            self._missed.discard(message.camera)
        return message.camera not in self._missed


def _size_of(message: Fragment | Found) -> int:
    return len(message.record if isinstance(message, Found) else message.data)


async def _send_text(socket: WebSocket, message: dict[str, object]) -> None:
    await socket.send_text(orjson.dumps(message).decode())
