"""Looks at every request before anybody answers it."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi.requests import HTTPConnection
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from yolostream.service.tokens import Scope
from yolostream.service.web.access import Access
from yolostream.service.web.logins import UNKNOWN, Failures, token_in
from yolostream.service.web.problems import Problem

_HARMLESS = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    # Other sites neither show what is here in a frame nor embed its pictures.
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """Lets through who may do what is asked for.

    - The name that a browser asks for is one of ours.
    - What changes anything, and every WebSocket, comes from a page of ours, or from no page.
    - Where there are tokens, one that allows it is shown.

    Args:
        app: answers what is let through.
        access: says who may do what.
        open_paths: need no token.
        reading_paths: only look, though they are posted to.
        failures: counts wrong tokens.
    """

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        open_paths: frozenset[str],
        reading_paths: frozenset[str],
        failures: Failures,
    ) -> None:
        self._app = app
        self._access = access
        self._open = open_paths
        self._reading = reading_paths
        self._failures = failures

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    # A page of ours may have stricter ones.
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check(HTTPConnection(scope))
        except Problem as problem:
            await problem.response(scope, receive, sending)
            return
        await self._app(scope, receive, sending)

    def _check(self, asked: HTTPConnection) -> None:
        changes = asked.scope["type"] == "websocket" or asked.scope["method"] not in _HARMLESS
        self._check_names(asked, changes=changes)
        path = asked.scope["path"]
        if self._access.tokens is None or path in self._open:
            return
        needed: Scope = "read"
        if asked.scope["type"] == "http" and changes and path not in self._reading:
            needed = "write"
        self._check_token(asked, needed)

    def _check_names(self, asked: HTTPConnection, *, changes: bool) -> None:
        host = asked.headers.get("host", "")
        if not self._access.knows(_name_in(host)):
            raise Problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"'{host}' is no name of this service",
                "use its address, or write the name into the configuration: web: {names: [...]}",
                kind="unknown-host",
            )
        origin = asked.headers.get("origin")
        if changes and origin is not None and _host_of(origin) != host.lower():
            raise Problem(
                HTTPStatus.FORBIDDEN,
                f"a page of {origin} may not do this",
                "open the page of the service itself",
                kind="foreign-origin",
            )

    def _check_token(self, asked: HTTPConnection, needed: Scope) -> None:
        tokens = self._access.tokens
        assert tokens is not None
        shown = token_in(asked)
        has = tokens.scope_of(shown) if shown else None
        if has is None:
            raise self._failures.problem_of(asked) if shown else UNKNOWN
        if needed == "write" and has == "read":
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "this token may only read",
                "use one that may write",
                kind="read-only-token",
            )


def _host_of(origin: str) -> str:
    """Host and port of an Origin header; empty where it names none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _name_in(host: str) -> str:
    """A Host header without its port."""
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
