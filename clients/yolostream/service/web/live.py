"""Annotated video for browsers: fragments of an MP4 over a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import json

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from yolostream.service.messages import Fragment
from yolostream.service.web.context import service_of

MOST_WAITING = 120
"""Fragments that wait for a viewer; one that takes no more is told to come back."""

router = APIRouter(prefix="/api/v1")


@router.websocket("/cameras/{name}/live")
async def live(socket: WebSocket, name: str) -> None:
    """Send a JSON text for each video's beginning, and every fragment as bytes.

    The text says `{"codec": "avc1.42C01F"}`; the header of the MP4 follows.
    """
    await socket.accept()
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[Fragment] = asyncio.Queue()

    def on_fragment(fragment: Fragment) -> None:
        loop.call_soon_threadsafe(waiting.put_nowait, fragment)

    try:
        with service_of(socket).watching(name, on_fragment):
            await _send_until_gone(socket, waiting)
    except KeyError:
        await socket.close(4404, f"there is no camera {name}")


async def _send_until_gone(socket: WebSocket, waiting: asyncio.Queue[Fragment]) -> None:
    sending = asyncio.create_task(_send(socket, waiting))
    # A viewer's end is noticed where nothing is sent, too.
    leaving = asyncio.create_task(socket.receive())
    _, unfinished = await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
    for task in unfinished:
        task.cancel()
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        if sending not in unfinished:
            sending.result()
            await socket.close(1013, "too slow: come back")


async def _send(socket: WebSocket, waiting: asyncio.Queue[Fragment]) -> None:
    """Send fragments until too many wait."""
    while waiting.qsize() < MOST_WAITING:
        fragment = await waiting.get()
        if fragment.kind == "header":
            await socket.send_text(json.dumps({"codec": fragment.codec}))
        await socket.send_bytes(fragment.data)
