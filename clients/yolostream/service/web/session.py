"""Login of the page: the browser keeps the token in a cookie that scripts cannot read."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from yolostream.service.tokens import Scope
from yolostream.service.web.context import InContext
from yolostream.service.web.logins import COOKIE, token_in
from yolostream.service.web.problems import responses

PATH = "/api/v1/session"
_MAX_AGE_S = 30 * 24 * 3600

router = APIRouter(tags=["session"])


class Login(BaseModel):
    """A token that was entered."""

    token: str = Field(max_length=200, repr=False)


class Session(BaseModel):
    """Permissions of the client."""

    scope: Scope | None
    """Scope of its token; None without a valid token."""


@router.get(PATH)
def session(request: Request, context: InContext) -> Session:
    """Get the permissions of the token of this request."""
    tokens, token = context.access.tokens, token_in(request)
    if tokens is None:
        return Session(scope="write")
    return Session(scope=tokens.scope_of(token) if token else None)


@router.post(PATH, responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS))
def log_in(login: Login, request: Request, response: Response, context: InContext) -> Session:
    """Store the token in a cookie of this browser for a month.

    The cookie is the token itself. So it stays valid after a restart of the service, and it is
    revoked together with the token.
    """
    tokens = context.access.tokens
    if tokens is None:
        return Session(scope="write")
    scope = tokens.scope_of(login.token)
    if scope is None:
        raise context.failures.problem_of(request)
    response.set_cookie(
        COOKIE,
        login.token,
        max_age=_MAX_AGE_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return Session(scope=scope)


@router.delete(PATH, status_code=HTTPStatus.NO_CONTENT)
def log_out(response: Response) -> None:
    """Delete the cookie."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
