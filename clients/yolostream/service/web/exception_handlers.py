"""Translates exceptions of endpoints into problem responses."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import get_type_hints

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from yolostream.service.web.problems import Problem, faults_of, invalid

_FIXES = {
    HTTPStatus.NOT_FOUND: "see /docs for the available paths",
    HTTPStatus.METHOD_NOT_ALLOWED: "use a method of the header Allow",
}

_log = logging.getLogger(__name__)


def add_exception_handlers(app: FastAPI) -> None:
    """Let an application return every error as a problem."""
    app.add_exception_handler(AnyHTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_middleware(_InternalErrors)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AnyHTTPException)
    if isinstance(error, Problem):
        return error.response
    status = HTTPStatus(error.status_code)
    detail = f"{request.method} {request.url.path}: {error.detail}"
    fix = _FIXES.get(status, "see /docs for the expected request")
    return Problem(status, detail, fix, headers=dict(error.headers or {})).response


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return invalid(faults_of(error.errors(), _body_of(request))).response


def _body_of(request: Request) -> type[BaseModel] | None:
    """Model of the body of an endpoint; None if it has no body."""
    hints = get_type_hints(request.scope["endpoint"])
    hints.pop("return", None)
    models = [kind for kind in hints.values() if isinstance(kind, type)]
    return next((kind for kind in models if issubclass(kind, BaseModel)), None)


class _InternalErrors:
    """Logs unexpected exceptions. The response reveals nothing about them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        has_begun = False

        async def send_noting_begin(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noting_begin)
        except Exception:
            _log.exception("a request for %s failed with an unexpected error", scope.get("path"))
            if not has_begun:
                await _INTERNAL_ERROR.response(scope, receive, send)


_INTERNAL_ERROR = Problem(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "an unexpected error occurred in the service",
    "look for its details in the log of the service, and report them",
    kind="defect",
)
