"""The ensembles that can look at frames."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel

from yolostream.errors import YolostreamError
from yolostream.service.web.context import InContext
from yolostream.service.web.problems import of_server, responses

router = APIRouter(tags=["models"])


class EnsembleInUse(BaseModel):
    """One ensemble."""

    name: str
    is_served: bool | None
    """Whether the server has it ready; None where the server tells that to nobody."""
    cameras: list[str]
    """Of which it looks at the frames, by their settings."""


@router.get("/api/v1/models", responses=responses(HTTPStatus.SERVICE_UNAVAILABLE))
def list_models(context: InContext) -> list[EnsembleInUse]:
    """The server's ensembles, and those that cameras name.

    A camera takes any of those that are served: `PATCH` its `model`. A model that was installed
    since is served after the next start.
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
