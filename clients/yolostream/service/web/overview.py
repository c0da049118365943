"""Endpoint for the state of the whole service."""

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
    """A problem that concerns several cameras."""

    kind: Literal["server", "leases", "configuration"]
    words: str


class CapacityInWords(BaseModel):
    """Estimate of how many more cameras the machine can process."""

    more: int | None
    """Number of cameras; None if it is not known."""
    words: str


class Overview(BaseModel):
    """State of the service."""

    version: str
    instance: str | None
    """Name of this instance; None without leases."""
    capacity: CapacityInWords
    problems: list[Problem]
    """Current problems, the worst first."""


@router.get("/service")
def overview(context: InContext) -> Overview:
    """Get the state of the service, and the number of cameras that its machine can still take."""
    capacity = capacity_of(context.service.load)
    with context.service.cameras() as cameras:
        problems = _server_problems(list(cameras.values()))
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


def _server_problems(cameras: list[Camera]) -> list[Problem]:
    waiting = [one for one in cameras if one.status.state == "waiting" and one.status.trouble]
    if waiting:
        return [Problem(kind="server", words=waiting[0].status.trouble)]
    recent = [one.recent for one in cameras]
    if any(one.dropped["server_unavailable"] and not one.frames_done for one in recent):
        words = "Triton does not answer. Frames are dropped until it does."
        return [Problem(kind="server", words=words)]
    return []
