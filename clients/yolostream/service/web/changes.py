"""Endpoints that add, change and remove cameras."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Query, Response
from pydantic import BaseModel, ValidationError

from yolostream.errors import ConfigurationError, ServiceError, SourceError
from yolostream.service.camera_plan import Change
from yolostream.service.settings import HIDDEN, CameraName, CameraSettings
from yolostream.service.web.cameras import CameraState, etag, no_camera, state_of
from yolostream.service.web.context import Context, InContext
from yolostream.service.web.hidden import with_secrets
from yolostream.service.web.merge_patch import merged
from yolostream.service.web.model_check import check_model, is_new
from yolostream.service.web.preconditions import IfMatch, IfNoneMatch, check_version
from yolostream.service.web.probe import not_allowed
from yolostream.service.web.problems import Problem, faults_of, invalid, responses


def _reject_if_shared(context: InContext) -> None:
    """Reject changes while several instances share the cameras.

    Raises:
        Problem: this instance uses leases.
    """
    if context.coordinator is not None:
        raise Problem(
            HTTPStatus.CONFLICT,
            "several instances share these cameras, and the others would not get this change",
            "change the configuration file that all instances read",
            kind="shared-cameras",
        )


router = APIRouter(
    prefix="/api/v1/cameras",
    tags=["cameras"],
    dependencies=[Depends(_reject_if_shared)],
    responses=responses(
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
        HTTPStatus.PRECONDITION_FAILED,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.INSUFFICIENT_STORAGE,
    ),
)

_DryRun = Annotated[bool, Query(description="Report what would change, and change nothing.")]


class Changed(BaseModel):
    """Result of a change. With `dry_run`, the change was not made."""

    kind: Literal["added", "changed", "removed", "untouched"]
    keys: list[str]
    """Settings that differ from the previous ones."""
    camera: CameraState | None
    """Current state of the camera; None if it does not exist."""


@router.put("/{name}", responses={201: {"model": Changed, "description": "Added"}})
def put(
    name: CameraName,
    settings: CameraSettings,
    context: InContext,
    response: Response,
    dry_run: _DryRun = False,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Changed:
    """Add a camera, or replace its settings. Equal settings change nothing.

    Responses show secrets as stars. If stars or a redacted address are sent back, the camera keeps
    its secret.
    """

    def wanted() -> CameraSettings:
        check_version(context, name, if_match, if_none_match)
        return _with_secrets(context, name, settings, keeps_password=settings.password == HIDDEN)

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
    if_match: IfMatch = None,
) -> Changed:
    """Change some settings of a camera (JSON merge patch). `null` restores a default.

    `{"enabled": false}` pauses a camera. A new `model` is tested with a picture before the first
    frame is sent to it. The camera stays open meanwhile, and no frame is lost.
    """

    def wanted() -> CameraSettings:
        check_version(context, name, if_match, None)
        own = _own(context, name)
        if own is None:
            raise no_camera(name)
        settings = CameraSettings.model_validate(merged(own.revealed(), changes))
        keeps_password = "password" not in changes or settings.password == HIDDEN
        return _with_secrets(context, name, settings, keeps_password=keeps_password)

    return _put(context, name, wanted, response, dry_run)


@router.delete("/{name}")
def delete(
    name: str, context: InContext, dry_run: _DryRun = False, if_match: IfMatch = None
) -> Changed:
    """Remove a camera. Its recorded files are kept."""
    with context.control.undisturbed(), _errors_as_problems():
        check_version(context, name, if_match, None)
        try:
            change = context.control.remove(name, dry_run=dry_run)
        except KeyError:
            raise no_camera(name) from None
        return _changed(context, change)


def _put(
    context: Context,
    name: str,
    wanted: Callable[[], CameraSettings],
    response: Response,
    dry_run: bool,
) -> Changed:
    """Add or change a camera.

    The check of a new ensemble takes long and does not hold the lock, so other requests may change
    cameras meanwhile. Therefore `wanted` is evaluated again after the check.
    """
    checked: set[str] = set()
    while True:
        with context.control.undisturbed(), _errors_as_problems():
            settings = wanted()
            change = context.control.put(name, settings, dry_run=True)
            model = context.control.configuration.resolved(settings).model
            if model in checked or not is_new(context, model, change):
                if not dry_run:
                    change = context.control.put(name, settings)
                    response.headers["ETag"] = etag(context, name)
                    if change.kind == "added":
                        response.status_code = HTTPStatus.CREATED
                return _changed(context, change)
        check_model(context, model, is_added=change.kind == "added")
        checked.add(model)


def _with_secrets(
    context: Context, name: str, wanted: CameraSettings, *, keeps_password: bool
) -> CameraSettings:
    resolved = context.control.settings().get(name)
    return with_secrets(wanted, _own(context, name), resolved, keeps_password=keeps_password)


def _own(context: Context, name: str) -> CameraSettings | None:
    try:
        return context.control.own_settings(name)
    except KeyError:
        return None


@contextmanager
def _errors_as_problems() -> Iterator[None]:
    """Translate the errors of a change into responses."""
    try:
        yield
    except ValidationError as error:
        raise invalid(faults_of(error.errors(), CameraSettings)) from None
    except SourceError as error:
        raise not_allowed(error) from None
    except ConfigurationError as error:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        raise Problem.of(error, status, kind="source-not-allowed") from None
    except ServiceError as error:
        status = HTTPStatus.INSUFFICIENT_STORAGE
        raise Problem.of(error, status, kind="change-not-kept") from None


def _changed(context: Context, change: Change) -> Changed:
    is_there = change.camera in context.control.settings()
    camera = state_of(context, change.camera) if is_there else None
    return Changed(kind=change.kind, keys=list(change.keys), camera=camera)
