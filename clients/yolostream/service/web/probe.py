"""What is at an address."""

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
from yolostream.service.web.places import Places
from yolostream.service.web.problems import Problem, responses

router = APIRouter(tags=["cameras"])
MOST_AT_ONCE = 2
_places = Places(MOST_AT_ONCE, "a probe")


class Question(BaseModel):
    """What is to be looked at."""

    model_config = ConfigDict(extra="forbid")

    source: str = Field(max_length=LONGEST, repr=False)
    """Address of a camera."""
    username: str | None = Field(default=None, max_length=200)
    password: Annotated[Secret | None, Field(max_length=200)] = None

    def address(self) -> str:
        """All of it, as one address.

        Raises:
            SourceError: it is none that may be given over the API.
        """
        source = check_runtime_address(self.source)
        if self.username is None:
            return source
        password = "" if self.password is None else self.password.get_secret_value()
        login = f"{quote(self.username, safe='')}:{quote(password, safe='')}@"
        parts = urlsplit(source)
        return urlunsplit(parts._replace(netloc=login + parts.netloc.rpartition("@")[2]))


# Not on the event loop: it waits for another process.
@router.post("/api/v1/probe", responses=responses(HTTPStatus.BAD_REQUEST))
def look(question: Question) -> Probed:
    """Look what a camera sends, without adding it. It takes 20 s at most.

    A camera that cannot be read is an answer, too: `error` says why.
    """
    try:
        address = question.address()
    except SourceError as error:
        raise not_allowed(error) from None
    with _places.taken():
        return probe(address)


def not_allowed(error: SourceError) -> Problem:
    """A source that may not be given over the API, or is none."""
    detail, _, fix = str(error).partition(": ")
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, fix, kind="source-not-allowed")
