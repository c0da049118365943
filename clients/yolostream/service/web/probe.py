"""Endpoint that tests the address of a camera."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote, urlsplit, urlunsplit

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from yolostream.errors import SourceError
from yolostream.service.probing import Probed, probe
from yolostream.service.runtime_address import LONGEST, check_runtime_address
from yolostream.service.settings import Secret
from yolostream.service.web.concurrency_limit import ConcurrencyLimit
from yolostream.service.web.problems import Problem, responses

router = APIRouter(tags=["cameras"])
MAX_CONCURRENT = 2
"""Probes that run at the same time."""
_limit = ConcurrencyLimit(MAX_CONCURRENT, "a probe")


class Question(BaseModel):
    """The camera to probe."""

    model_config = ConfigDict(extra="forbid")

    source: str = Field(max_length=LONGEST, repr=False)
    """Address of a camera."""
    username: str | None = Field(default=None, max_length=200)
    password: Annotated[Secret | None, Field(max_length=200)] = None

    def address(self) -> str:
        """Address of the camera, including user and password.

        Raises:
            SourceError: the API does not allow this address.
        """
        source = check_runtime_address(self.source)
        if self.username is None:
            return source
        password = "" if self.password is None else self.password.get_secret_value()
        login = f"{quote(self.username, safe='')}:{quote(password, safe='')}@"
        parts = urlsplit(source)
        return urlunsplit(parts._replace(netloc=login + parts.netloc.rpartition("@")[2]))


# It is not async, because it blocks until another process has ended.
@router.post("/api/v1/probe", responses=responses(HTTPStatus.BAD_REQUEST))
def look(question: Question) -> Probed:
    """Probe what a camera sends, without adding it. It takes 20 s at most.

    If the camera cannot be read, the response still has the status 200, and `error` tells why.
    """
    try:
        address = question.address()
    except SourceError as error:
        raise not_allowed(error) from None
    with _limit.slot():
        return probe(address)


def not_allowed(error: SourceError) -> Problem:
    """Error for a source that is not valid or that the API does not allow."""
    detail, _, fix = str(error).partition(": ")
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, fix, kind="source-not-allowed")
