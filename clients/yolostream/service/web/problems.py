"""Error responses: problem details for HTTP APIs, RFC 9457."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from yolostream.errors import (
    DeadlineExceeded,
    ModelUnavailable,
    Overloaded,
    ServerUnavailable,
    YolostreamError,
)
from yolostream.redaction import redact
from yolostream.service.validation_errors import UNKNOWN_KEY, no_such_key

MEDIA_TYPE = "application/problem+json"


class Fault(BaseModel):
    """One error in a request."""

    where: str
    """Place of the error, such as `body.confidence`."""
    message: str


class ProblemDetails(BaseModel):
    """Body of an error response."""

    type: str
    """`urn:yolostream:` and a stable name of the error, or `about:blank`."""
    title: str
    """Phrase of the status."""
    status: int
    detail: str
    """What is wrong, with the wrong value."""
    fix: str
    """How to solve it."""
    errors: list[Fault] = Field(default_factory=list)
    """Each error of a request that is not valid."""


class Problem(HTTPException):
    """An error response.

    Args:
        status: HTTP status.
        detail: what is wrong, with the wrong value.
        fix: how to solve it.
        kind: stable name of the error for programs.
        headers: additional headers of the response.
        errors: each error of a request that is not valid.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        fix: str,
        *,
        kind: str = "",
        headers: dict[str, str] | None = None,
        errors: list[Fault] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.details = ProblemDetails(
            type=f"urn:yolostream:{kind}" if kind else "about:blank",
            title=status.phrase,
            status=status,
            detail=redact(detail),
            fix=fix,
            errors=errors or [],
        )

    @classmethod
    def of(cls, error: YolostreamError, status: HTTPStatus, *, kind: str) -> Problem:
        """Response for an error whose message ends with a colon and the fix."""
        detail, _, fix = str(error).rpartition(": ")
        return cls(status, detail or str(error), fix, kind=kind)

    @property
    def response(self) -> JSONResponse:
        """The HTTP response."""
        content = self.details.model_dump(exclude_defaults=True)
        return JSONResponse(content, self.status_code, self.headers, MEDIA_TYPE)


def responses(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """OpenAPI description of the errors of an endpoint."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    return {int(status): {"description": status.phrase, "content": content} for status in statuses}


COMMON = responses(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.MISDIRECTED_REQUEST,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
)
"""Errors that every endpoint may return."""


def faults_of(errors: Any, body: type[BaseModel] | None) -> list[Fault]:
    """Convert validation errors. They do not contain the values, which may be secret.

    Args:
        errors: validation errors of pydantic or FastAPI.
        body: model of the request's body.
    """
    return [
        Fault(where=".".join(map(str, one["loc"])), message=redact(_message(one, body)))
        for one in errors
    ]


def _message(error: Any, body: type[BaseModel] | None) -> str:
    if body is None or error["type"] not in UNKNOWN_KEY:
        return str(error["msg"])
    # FastAPI puts the part of the request before the path.
    path = error["loc"][1:] if error["loc"][0] == "body" else error["loc"]
    return no_such_key(path, body)


def invalid(faults: list[Fault]) -> Problem:
    """Error for a request that is not valid."""
    detail = "; ".join(f"{fault.where}: {fault.message}" for fault in faults)
    fix = "correct the named fields; /docs has the schema"
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, detail, fix, kind="invalid-request", errors=faults
    )


def of_server(error: YolostreamError) -> Problem:
    """Response for an error of Triton."""
    match error:
        case ModelUnavailable():
            status, kind = HTTPStatus.NOT_FOUND, "model-unavailable"
        case Overloaded():
            status, kind = HTTPStatus.TOO_MANY_REQUESTS, "busy"
        case DeadlineExceeded():
            status, kind = HTTPStatus.GATEWAY_TIMEOUT, "server-silent"
        case ServerUnavailable():
            status, kind = HTTPStatus.SERVICE_UNAVAILABLE, "server-away"
        case _:
            status, kind = HTTPStatus.BAD_GATEWAY, "server-failed"
    return Problem.of(error, status, kind=kind)
