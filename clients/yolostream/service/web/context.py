"""The objects that endpoints use."""

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
    """The objects that endpoints use."""

    service: Service
    control: Control
    """Changes cameras."""
    ensembles: Ensembles
    access: Access = field(default_factory=Access)
    failures: Failures = field(default_factory=Failures)
    streams: Streams = field(default_factory=Streams)
    triton: EmbeddedTriton | None = None
    """The Triton that was started for the service; None if an existing one is used."""
    coordinator: Coordinator | None = None
    """Coordinator of the leases; None if this instance runs all cameras."""


def context_of(connection: HTTPConnection) -> Context:
    """Context of the application that handles a request."""
    context: Context = connection.app.state.context
    return context


def service_of(connection: HTTPConnection) -> Service:
    """Service of the application that handles a request."""
    return context_of(connection).service


InContext = Annotated[Context, Depends(context_of)]
TheService = Annotated[Service, Depends(service_of)]
