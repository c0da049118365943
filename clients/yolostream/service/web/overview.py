"""The service as a whole."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from yolostream._version import __version__
from yolostream.service.camera import Camera
from yolostream.service.capacity import capacity_of
from yolostream.service.web.context import InContext

router = APIRouter(prefix="/api/v1", tags=["service"])


class Problem(BaseModel):
    """What is wrong with more than a camera."""

    kind: Literal["server", "leases", "configuration"]
    words: str


class CapacityInWords(BaseModel):
    """How many cameras more the machine takes."""

    more: int | None
    """None where it is not known."""
    words: str


class Overview(BaseModel):
    """How the service is."""

    version: str
    instance: str | None
    """Its name among those that share the cameras out; None where there are no others."""
    capacity: CapacityInWords
    problems: list[Problem]
    """The worst first."""


@router.get("/service")
def overview(context: InContext) -> Overview:
    """How the service is, and how many cameras more its machine takes."""
    capacity = capacity_of(context.service.load)
    with context.service.cameras() as cameras:
        problems = _of_server(list(cameras.values()))
    if context.coordinator is not None and context.coordinator.problem is not None:
        problems.append(Problem(kind="leases", words=context.coordinator.problem))
    if context.control.problem is not None:
        problems.append(Problem(kind="configuration", words=context.control.problem))
    return Overview(
        version=__version__,
        instance=context.service.leased.instance,
        capacity=CapacityInWords(more=capacity.more, words=capacity.words),
        problems=problems,
    )


def _of_server(cameras: list[Camera]) -> list[Problem]:
    waiting = [one for one in cameras if one.status.state == "waiting" and one.status.trouble]
    if waiting:
        return [Problem(kind="server", words=waiting[0].status.trouble)]
    recent = [one.recent for one in cameras]
    if any(one.dropped["server_unavailable"] and not one.frames_done for one in recent):
        words = "Triton does not answer. Frames are left out until it does."
        return [Problem(kind="server", words=words)]
    return []
