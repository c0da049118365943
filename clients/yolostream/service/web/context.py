"""What the endpoints work with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from yolostream.server.embedded import EmbeddedTriton
from yolostream.service.control import Control
from yolostream.service.ensembles import Ensembles
from yolostream.service.leases.coordinator import Coordinator
from yolostream.service.service import Service
from yolostream.service.web.access import Access
from yolostream.service.web.logins import Failures
from yolostream.service.web.stream import Streams


@dataclass(frozen=True)
class Context:
    """What the endpoints work with."""

    service: Service
    control: Control
    """Changes cameras."""
    ensembles: Ensembles
    access: Access = field(default_factory=Access)
    failures: Failures = field(default_factory=Failures)
    streams: Streams = field(default_factory=Streams)
    triton: EmbeddedTriton | None = None
    """That was started for the service; None where another one is asked."""
    coordinator: Coordinator | None = None
    """Of the leases; None where all cameras are ours."""


def context_of(connection: HTTPConnection) -> Context:
    """That of the application that answers."""
    context: Context = connection.app.state.context
    return context


def service_of(connection: HTTPConnection) -> Service:
    """The service that answers."""
    return context_of(connection).service


InContext = Annotated[Context, Depends(context_of)]
TheService = Annotated[Service, Depends(service_of)]
