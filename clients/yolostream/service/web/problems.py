"""Errors as programs and people read them: problem+json, RFC 9457."""

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
    """One thing that is wrong with a request."""

    where: str
    """Such as `body.confidence`."""
    message: str


class ProblemDetails(BaseModel):
    """What an error's body says."""

    type: str
    """`about:blank`, or `urn:yolostream:` and a word that stays the same."""
    title: str
    """The status in words."""
    status: int
    detail: str
    """What is wrong, with the value."""
    fix: str
    """What helps."""
    errors: list[Fault] = Field(default_factory=list)
    """Of a request with several faults: each."""


class Problem(HTTPException):
    """An error that the API answers.

    Args:
        status: of HTTP.
        detail: what is wrong, with the value.
        fix: what helps.
        kind: a word for programs, which stays the same.
        headers: of the answer.
        errors: of a request with several faults: each.
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
        """What is answered to an error, whose message ends with the fix."""
        detail, _, fix = str(error).rpartition(": ")
        return cls(status, detail or str(error), fix, kind=kind)

    @property
    def response(self) -> JSONResponse:
        """As it is sent."""
        content = self.details.model_dump(exclude_defaults=True)
        return JSONResponse(content, self.status_code, self.headers, MEDIA_TYPE)


def responses(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of the errors of an endpoint."""
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
"""Of every endpoint."""


def faults_of(errors: Any, body: type[BaseModel] | None) -> list[Fault]:
    """What pydantic finds, without the values: they may be secret.

    Args:
        errors: as pydantic or FastAPI gives them.
        body: the model that the request's body was validated with.
    """
    return [
        Fault(where=".".join(map(str, one["loc"])), message=redact(_message(one, body)))
        for one in errors
    ]


def _message(error: Any, body: type[BaseModel] | None) -> str:
    if body is None or error["type"] not in UNKNOWN_KEY:
        return str(error["msg"])
    # FastAPI says in which part of the request a fault is.
    path = error["loc"][1:] if error["loc"][0] == "body" else error["loc"]
    return no_such_key(path, body)


def invalid(faults: list[Fault]) -> Problem:
    """A request that says something wrong."""
    words = "; ".join(f"{fault.where}: {fault.message}" for fault in faults)
    fix = "mend what is named; /docs has the schema"
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, words, fix, kind="invalid-request", errors=faults
    )


def of_server(error: YolostreamError) -> Problem:
    """What is answered where Triton fails."""
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
