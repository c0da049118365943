"""Limits the size and the duration of request bodies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from http import HTTPStatus

from fastapi.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from yolostream.service.web.problems import Problem

MAX_BYTES = 64 * 1024
"""Largest body in bytes, unless a path has its own limit."""

MAX_BODY_S = 120.0
"""Seconds within which a body has to arrive."""


class BodyLimit:
    """Rejects bodies that are too large or arrive too slowly.

    If `Content-Length` is too large, the body is not read at all.

    Args:
        app: application that handles the accepted requests.
        larger: paths with a limit of their own, in bytes.
    """

    def __init__(self, app: ASGIApp, larger: Mapping[str, int]) -> None:
        self._app = app
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._larger.get(scope["path"], MAX_BYTES)
        declared = HTTPConnection(scope).headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > limit:
            await _too_large(limit).response(scope, receive, send)
            return
        received = 0
        is_complete = False
        deadline = time.monotonic() + MAX_BODY_S

        async def receive_limited() -> Message:
            nonlocal received, is_complete
            if is_complete:
                # The next message is the client's disconnect, which has no deadline.
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), deadline - time.monotonic())
            except TimeoutError:
                raise _TOO_SLOW from None
            received += len(message.get("body", b""))
            is_complete = not message.get("more_body", False)
            if received > limit:
                raise _too_large(limit)
            return message

        await self._app(scope, receive_limited, send)


_TOO_SLOW = Problem(
    HTTPStatus.REQUEST_TIMEOUT,
    f"the body took longer than {MAX_BODY_S:g} s",
    "send a smaller body, or use a faster connection",
    kind="too-slow",
    headers={"Connection": "close"},
)


def _too_large(limit: int) -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body has more than {limit:,} bytes",
        "send a smaller body",
        kind="too-large",
        headers={"Connection": "close"},
    )
