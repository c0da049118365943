"""Keeps requests small."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from http import HTTPStatus

from fastapi.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from yolostream.service.web.problems import Problem

MOST_BYTES = 64 * 1024
"""Of settings, and of whatever is no picture."""

MOST_S = 120.0
"""That a body may take to come."""


class BodyLimit:
    """Refuses a body that is too large, before it is read where it says how large it is.

    And one that does not come: it would keep its connection for ever.

    Args:
        app: answers what is not refused.
        larger: bytes that may be sent to some paths.
    """

    def __init__(self, app: ASGIApp, larger: Mapping[str, int]) -> None:
        self._app = app
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._larger.get(scope["path"], MOST_BYTES)
        said = HTTPConnection(scope).headers.get("content-length", "0")
        if said.isdecimal() and int(said) > most:
            await _too_large(most).response(scope, receive, send)
            return
        received = 0
        is_whole = False
        until = time.monotonic() + MOST_S

        async def receiving() -> Message:
            nonlocal received, is_whole
            if is_whole:
                # Whoever answers waits for its reader to go, however long that takes.
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), until - time.monotonic())
            except TimeoutError:
                raise _TOO_SLOW from None
            received += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            if received > most:
                raise _too_large(most)
            return message

        await self._app(scope, receiving, send)


_TOO_SLOW = Problem(
    HTTPStatus.REQUEST_TIMEOUT,
    f"the body took longer than {MOST_S:g} s",
    "send less, or faster",
    kind="too-slow",
    headers={"Connection": "close"},
)


def _too_large(most: int) -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body has more than {most:,} bytes",
        "send less",
        kind="too-large",
        headers={"Connection": "close"},
    )
