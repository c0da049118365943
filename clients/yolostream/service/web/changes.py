"""Cameras that are added, changed and removed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Body, Header, Query, Response
from pydantic import BaseModel, ValidationError

from yolostream.errors import (
    ConfigurationError,
    ModelUnavailable,
    ServiceError,
    SourceError,
    YolostreamError,
)
from yolostream.service.camera_plan import Change
from yolostream.service.runtime_address import check_runtime_address
from yolostream.service.settings import HIDDEN, CameraName, CameraSettings
from yolostream.service.web.cameras import (
    CameraState,
    etag,
    no_camera,
    shown,
    state_of,
)
from yolostream.service.web.context import Context, InContext
from yolostream.service.web.probe import not_allowed
from yolostream.service.web.problems import Problem, faults_of, invalid, of_server, responses

router = APIRouter(
    prefix="/api/v1/cameras",
    tags=["cameras"],
    responses=responses(
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
        HTTPStatus.PRECONDITION_FAILED,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.INSUFFICIENT_STORAGE,
    ),
)

_IfMatch = Annotated[str | None, Header(description="The `ETag` that is expected, or `*`.")]
_IfNoneMatch = Annotated[Literal["*"] | None, Header(description="`*`: only add.")]
_DryRun = Annotated[bool, Query(description="Only tell what would change.")]


class Changed(BaseModel):
    """What became of a camera, or with `dry_run` what would."""

    kind: Literal["added", "changed", "removed", "untouched"]
    keys: list[str]
    """Of the settings that differ from before."""
    camera: CameraState | None
    """As it is now; None where it is not there."""


@router.put("/{name}", responses={201: {"model": Changed, "description": "Added"}})
def put(
    name: CameraName,
    settings: CameraSettings,
    context: InContext,
    response: Response,
    dry_run: _DryRun = False,
    if_match: _IfMatch = None,
    if_none_match: _IfNoneMatch = None,
) -> Changed:
    """Add a camera, or replace what it says. The same again changes nothing.

    An address or a password as it is shown, without what is secret, means the one that it has.
    """
    with context.control.undisturbed(), _checked():
        _check_version(context, name, if_match, if_none_match)
        keeps_password = settings.password == HIDDEN
        wanted = _completed(context, name, settings, keeps_password=keeps_password)
        return _put(context, name, wanted, response, dry_run)


@router.patch(
    "/{name}",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/merge-patch+json": {"schema": {"type": "object"}},
                "application/json": {"schema": {"type": "object"}},
            },
        }
    },
)
def patch(
    name: str,
    changes: Annotated[dict[str, Any], Body()],
    context: InContext,
    response: Response,
    dry_run: _DryRun = False,
    if_match: _IfMatch = None,
) -> Changed:
    """Change what is named (JSON merge patch); `null` brings a default back.

    `{"enabled": false}` pauses a camera. Another `model` is connected and has looked at a picture
    before the first frame goes there; the camera stays open meanwhile, and no frame is lost.
    """
    with context.control.undisturbed(), _checked():
        _check_version(context, name, if_match, None)
        own = _own(context, name)
        if own is None:
            raise no_camera(name)
        settings = CameraSettings.model_validate(_merged(own.revealed(), changes))
        keeps_password = "password" not in changes or settings.password == HIDDEN
        wanted = _completed(context, name, settings, keeps_password=keeps_password)
        return _put(context, name, wanted, response, dry_run)


@router.delete("/{name}")
def delete(
    name: str, context: InContext, dry_run: _DryRun = False, if_match: _IfMatch = None
) -> Changed:
    """Let go of a camera. What was written of it stays."""
    with context.control.undisturbed(), _checked():
        _check_version(context, name, if_match, None)
        try:
            change = context.control.remove(name, dry_run=dry_run)
        except KeyError:
            raise no_camera(name) from None
        return _changed(context, change)


def _put(
    context: Context, name: str, settings: CameraSettings, response: Response, dry_run: bool
) -> Changed:
    change = context.control.put(name, settings, dry_run=True)
    _check_model(context, change, settings)
    if not dry_run:
        change = context.control.put(name, settings)
        response.headers["ETag"] = etag(context, name)
        if change.kind == "added":
            response.status_code = HTTPStatus.CREATED
    return _changed(context, change)


def _completed(
    context: Context, name: str, wanted: CameraSettings, *, keeps_password: bool
) -> CameraSettings:
    """Settings with what was shown without its secrets, and which of them may be sent where.

    Raises:
        SourceError: the address is none that may be given over the API.
    """
    said, before = wanted.revealed(), _own(context, name)
    if before is not None and wanted.source == shown(before).source:
        said["source"] = before.source
    if wanted.outputs.push == HIDDEN:
        resolved = context.control.settings().get(name)
        if resolved is None or resolved.outputs.push is None:
            raise SourceError("outputs.push is stars, and there was no address: name it")
        said["outputs"]["push"] = resolved.outputs.push.get_secret_value()
    if before is None or said["source"] != before.source:
        check_runtime_address(said["source"])
    if not keeps_password or before is None or before.password is None:
        return CameraSettings.model_validate(said)
    if wanted.username is not None and _place(said["source"]) != _place(before.source):
        raise SourceError(
            "the password was given for another host, and is not sent to this one: give it again"
        )
    said["password"] = before.password.get_secret_value()
    return CameraSettings.model_validate(said)


def _merged(said: Any, changes: Any) -> Any:
    """What was said with the changes of a JSON merge patch (RFC 7396)."""
    if not isinstance(changes, dict):
        return changes
    kept = said if isinstance(said, dict) else {}
    merged = kept | {key: _merged(kept.get(key), change) for key, change in changes.items()}
    return {key: value for key, value in merged.items() if value is not None}


def _place(address: str) -> tuple[str, str]:
    """Who is sent a password."""
    parts = urlsplit(address)
    return parts.scheme, parts.netloc


def _own(context: Context, name: str) -> CameraSettings | None:
    try:
        return context.control.own_settings(name)
    except KeyError:
        return None


def _check_model(context: Context, change: Change, settings: CameraSettings) -> None:
    """Make sure that an ensemble works before a camera depends on it."""
    model = context.control.configuration.resolved(settings).model
    in_use = {one.model for one in context.control.settings().values()}
    if not ("model" in change.keys or (change.kind == "added" and model not in in_use)):
        return
    try:
        context.ensembles.check(model)
    except ModelUnavailable as error:
        detail, _, fix = str(error).rpartition(": ")
        raise Problem(HTTPStatus.CONFLICT, detail, fix, kind="model-unavailable") from None
    except YolostreamError as error:
        # A new camera waits for its server; one that runs is not moved to a server that is away.
        if change.kind != "added":
            raise of_server(error) from None


def _check_version(
    context: Context, name: str, if_match: str | None, if_none_match: str | None
) -> None:
    is_there = name in context.control.settings()
    if if_none_match is not None and is_there:
        raise _other_version(f"there is a camera {name}")
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
        "get the camera again, look at it, and send its new ETag",
        kind="other-version",
    )


@contextmanager
def _checked() -> Iterator[None]:
    """Answer what is wrong with settings."""
    try:
        yield
    except ValidationError as error:
        raise invalid(faults_of(error.errors())) from None
    except SourceError as error:
        raise not_allowed(error) from None
    except ConfigurationError as error:
        detail, _, fix = str(error).rpartition(": ")
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, detail, fix, kind="source-not-allowed"
        ) from None
    except ServiceError as error:
        detail, _, fix = str(error).rpartition(": ")
        raise Problem(
            HTTPStatus.INSUFFICIENT_STORAGE, detail, fix, kind="change-not-kept"
        ) from None


def _changed(context: Context, change: Change) -> Changed:
    is_there = change.camera in context.control.settings()
    camera = state_of(context, change.camera) if is_there else None
    return Changed(kind=change.kind, keys=list(change.keys), camera=camera)
