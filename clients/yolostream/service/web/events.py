"""Endpoints that stream the events of the service."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Query, WebSocket
from fastapi.responses import StreamingResponse

from yolostream.service.events import Event
from yolostream.service.web.context import InContext, context_of

router = APIRouter(prefix="/api/v1/events", tags=["events"])

_After = Annotated[str, Query(max_length=100)]


@router.get("", response_class=StreamingResponse)
async def follow(
    context: InContext,
    after: _After = "",
    last_event_id: Annotated[str, Header(max_length=100)] = "",
) -> StreamingResponse:
    """Stream events as server-sent events: changes of states, cameras, configuration and workers.

    With `Last-Event-ID` or `?after=`, the stream begins after that event. The last thousand events
    are available.
    """
    following = partial(context.service.events.following, after=last_event_id or after)
    return context.streams.events(following, _lines_of)


@router.websocket("/ws")
async def follow_by_socket(socket: WebSocket, after: _After = "") -> None:
    """Stream events over a WebSocket, each as a JSON text."""
    await socket.accept()
    context = context_of(socket)
    following = partial(context.service.events.following, after=after)
    await context.streams.texts(socket, following, lambda event: event.json.decode())


def _lines_of(event: Event) -> bytes:
    head = f"id: {event.id}\nevent: {event.type}\ndata: "
    return head.encode() + event.json + b"\n\n"
