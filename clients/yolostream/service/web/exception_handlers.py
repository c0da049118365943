"""Whatever an endpoint raises is answered as a problem."""

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
    HTTPStatus.NOT_FOUND: "see /docs for what there is",
    HTTPStatus.METHOD_NOT_ALLOWED: "use one of the methods in the header Allow",
}

_log = logging.getLogger(__name__)


def add_exception_handlers(app: FastAPI) -> None:
    """Let an application answer every error as a problem."""
    app.add_exception_handler(AnyHTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_middleware(_Defects)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AnyHTTPException)
    if isinstance(error, Problem):
        return error.response
    status = HTTPStatus(error.status_code)
    detail = f"{request.method} {request.url.path}: {error.detail}"
    fix = _FIXES.get(status, "see /docs for what is expected")
    return Problem(status, detail, fix, headers=dict(error.headers or {})).response


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return invalid(faults_of(error.errors(), _body_of(request))).response


def _body_of(request: Request) -> type[BaseModel] | None:
    """The model of the body that an endpoint takes."""
    hints = get_type_hints(request.scope["endpoint"])
    hints.pop("return", None)
    models = [kind for kind in hints.values() if isinstance(kind, type)]
    return next((kind for kind in models if issubclass(kind, BaseModel)), None)


class _Defects:
    """What nobody expects is logged, and answered without a word of what it was."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        has_begun = False

        async def sending(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            _log.exception("a request for %s met a defect", scope.get("path"))
            if not has_begun:
                await _DEFECT.response(scope, receive, send)


_DEFECT = Problem(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "the service has a defect",
    "its log has the details: please report them",
    kind="defect",
)
