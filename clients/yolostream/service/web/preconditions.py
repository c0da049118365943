"""Conditional requests: `If-Match` and `If-None-Match`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import Header

from yolostream.service.web.cameras import etag
from yolostream.service.web.context import Context
from yolostream.service.web.problems import Problem

IfMatch = Annotated[str | None, Header(description="The expected `ETag`, or `*` for any version.")]
IfNoneMatch = Annotated[Literal["*"] | None, Header(description="`*`: only add a camera.")]


def check_version(
    context: Context, name: str, if_match: str | None, if_none_match: str | None
) -> None:
    """Check the preconditions of a change.

    Raises:
        Problem: the camera has another version, or whether it exists differs from what is expected.
    """
    is_there = name in context.control.settings()
    if if_none_match is not None and is_there:
        raise _other_version(f"camera {name} exists already")
    if if_match is None:
        return
    if not is_there:
        raise _other_version(f"there is no camera {name[:64]!r}")
    if if_match != "*" and etag(context, name) not in [tag.strip() for tag in if_match.split(",")]:
        raise _other_version(f"camera {name} was changed in the meantime")


def _other_version(detail: str) -> Problem:
    return Problem(
        HTTPStatus.PRECONDITION_FAILED,
        detail,
        "get the camera again, and send its new ETag",
        kind="other-version",
    )
