"""Reads the token of a request, and limits the responses to wrong tokens."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from http import HTTPStatus

from fastapi.requests import HTTPConnection

from yolostream.service.web.problems import Problem

COOKIE = "yolostream_token"

MAX_FAILURES = 10
"""Wrong tokens that one address may send within `FAILURES_S`. Then it gets 429 instead of 401."""
FAILURES_S = 60.0
"""Period in seconds in which wrong tokens are counted."""
_MAX_ADDRESSES = 1000
"""Addresses that are remembered."""

UNKNOWN = Problem(
    HTTPStatus.UNAUTHORIZED,
    "the request has no token, or an unknown one",
    "send 'Authorization: Bearer TOKEN'; 'yolostream token read --file FILE' creates a token",
    kind="unknown-token",
    headers={"WWW-Authenticate": "Bearer"},
)
_TOO_MANY = Problem(
    HTTPStatus.TOO_MANY_REQUESTS,
    f"more than {MAX_FAILURES} wrong tokens within {FAILURES_S:g} s",
    "wait a minute, and check the token",
    kind="too-many-failures",
    headers={"Retry-After": f"{FAILURES_S:.0f}"},
)


def token_in(connection: HTTPConnection) -> str | None:
    """Token of a request: programs send it in a header, the page in a cookie. None without one."""
    kind, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else connection.cookies.get(COOKIE)


class Failures:
    """Counts wrong tokens of each IP address.

    A valid token is always accepted. Otherwise, one client could lock out the other clients of its
    proxy. Tokens are too long to be guessed: see `Tokens`.
    """

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def problem_of(self, connection: HTTPConnection) -> Problem:
        """Count a wrong token, and return the error for its request."""
        address, now = connection.client.host if connection.client else "", time.monotonic()
        times = self._times.setdefault(address, deque(maxlen=MAX_FAILURES + 1))
        self._times.move_to_end(address)
        if len(self._times) > _MAX_ADDRESSES:
            self._times.popitem(last=False)
        times.append(now)
        is_often = len(times) > MAX_FAILURES and now - times[0] < FAILURES_S
        return _TOO_MANY if is_often else UNKNOWN
