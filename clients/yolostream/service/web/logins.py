"""How a token is shown, and what becomes of those who show a wrong one."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from http import HTTPStatus

from fastapi.requests import HTTPConnection

from yolostream.service.web.problems import Problem

COOKIE = "yolostream_token"

MOST_FAILURES = 10
"""Wrong tokens of one address in `FAILURES_S`; it is told to wait after that."""
FAILURES_S = 60.0
_MOST_ADDRESSES = 1000

UNKNOWN = Problem(
    HTTPStatus.UNAUTHORIZED,
    "no token, or one that is not known",
    "send 'Authorization: Bearer TOKEN'; 'yolostream token read --file FILE' makes one",
    kind="unknown-token",
    headers={"WWW-Authenticate": "Bearer"},
)
_TOO_MANY = Problem(
    HTTPStatus.TOO_MANY_REQUESTS,
    f"more than {MOST_FAILURES} wrong tokens within {FAILURES_S:g} s",
    "wait a minute, and look at the token",
    kind="too-many-failures",
    headers={"Retry-After": f"{FAILURES_S:.0f}"},
)


def token_in(asked: HTTPConnection) -> str | None:
    """The token that somebody shows: a program in a header, a page in a cookie."""
    kind, _, token = asked.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else asked.cookies.get(COOKIE)


class Failures:
    """Wrong tokens by address. Who shows a right one is let in all the same.

    Otherwise a stranger behind the same proxy could turn others out. Guessing is no danger: see
    `Tokens`.
    """

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def problem_of(self, asked: HTTPConnection) -> Problem:
        """Count a wrong token; what is said of it."""
        address, now = asked.client.host if asked.client else "", time.monotonic()
        times = self._times.setdefault(address, deque(maxlen=MOST_FAILURES + 1))
        self._times.move_to_end(address)
        if len(self._times) > _MOST_ADDRESSES:
            self._times.popitem(last=False)
        times.append(now)
        is_often = len(times) > MOST_FAILURES and now - times[0] < FAILURES_S
        return _TOO_MANY if is_often else UNKNOWN
