"""Checks the host name, the origin and the token of every request."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi.requests import HTTPConnection
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as ASGIScope

from yolostream.service.tokens import Scope
from yolostream.service.web.access import Access
from yolostream.service.web.logins import UNKNOWN, Failures, token_in
from yolostream.service.web.problems import Problem

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    # Other sites may neither frame the page nor embed its pictures.
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """Passes only those requests to the application that are allowed.

    - The `Host` header has to be a name of this service.
    - Requests that change something, and WebSockets, have to come from the service's own page, or
      from a program that is not a browser.
    - If there are tokens, the request needs one with the required scope.

    Args:
        app: application that handles the accepted requests.
        access: the accepted host names and tokens.
        open_paths: paths that need no token.
        reading_paths: paths whose `POST` changes nothing, so that it only needs the scope `read`.
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
        self._open_paths = open_paths
        self._reading_paths = reading_paths
        self._failures = failures

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    # The files of the page have a stricter policy already.
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check(HTTPConnection(scope))
        except Problem as problem:
            await problem.response(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _check(self, connection: HTTPConnection) -> None:
        changes = (
            connection.scope["type"] == "websocket"
            or connection.scope["method"] not in _SAFE_METHODS
        )
        self._check_names(connection, changes=changes)
        path = connection.scope["path"]
        if self._access.tokens is None or path in self._open_paths:
            return
        needed: Scope = "read"
        if connection.scope["type"] == "http" and changes and path not in self._reading_paths:
            needed = "write"
        self._check_token(connection, needed)

    def _check_names(self, connection: HTTPConnection, *, changes: bool) -> None:
        host = connection.headers.get("host", "")
        if not self._access.accepts_host(_without_port(host)):
            raise Problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"'{host}' is not a name of this service",
                "use its IP address, or add the name to the configuration: web: {names: [...]}",
                kind="unknown-host",
            )
        origin = connection.headers.get("origin")
        if changes and origin is not None and _host_of(origin) != host.lower():
            raise Problem(
                HTTPStatus.FORBIDDEN,
                f"a page of {origin} may not send this request",
                "use the page of the service itself",
                kind="foreign-origin",
            )

    def _check_token(self, connection: HTTPConnection, needed: Scope) -> None:
        tokens = self._access.tokens
        assert tokens is not None
        token = token_in(connection)
        granted = tokens.scope_of(token) if token else None
        if granted is None:
            raise self._failures.problem_of(connection) if token else UNKNOWN
        if needed == "write" and granted == "read":
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "this token may only read",
                "use a token with the scope 'write'",
                kind="read-only-token",
            )


def _host_of(origin: str) -> str:
    """Host and port of an `Origin` header; empty if it has no host."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _without_port(host: str) -> str:
    """A `Host` header without its port."""
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
