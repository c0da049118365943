"""Endpoint that lists the ensembles."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel

from yolostream.errors import YolostreamError
from yolostream.service.web.context import InContext
from yolostream.service.web.problems import of_server, responses

router = APIRouter(tags=["models"])


class EnsembleInUse(BaseModel):
    """An ensemble, and the cameras that use it."""

    name: str
    is_served: bool | None
    """Whether Triton has loaded it; None if Triton does not reveal its models."""
    cameras: list[str]
    """Names of the cameras whose settings name it."""


@router.get("/api/v1/models", responses=responses(HTTPStatus.SERVICE_UNAVAILABLE))
def list_models(context: InContext) -> list[EnsembleInUse]:
    """List the ensembles of Triton, and those that cameras name.

    `PATCH` the `model` of a camera to use another one that is served. A model that was installed
    while Triton runs is served after its next start.
    """
    try:
        served = context.ensembles.served()
    except YolostreamError as error:
        raise of_server(error) from None
    cameras: dict[str, list[str]] = {name: [] for name in served or ()}
    for name, settings in context.control.settings().items():
        cameras.setdefault(settings.model, []).append(name)
    return [
        EnsembleInUse(
            name=model, is_served=None if served is None else model in served, cameras=named
        )
        for model, named in sorted(cameras.items())
    ]
