"""What the service tells of itself: logs and traces."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from yolostream.service.settings.section import Section


class LogSettings(Section):
    """What the service says of itself, on stderr."""

    format: Literal["console", "json"] = "console"
    """For people, or one JSON object a line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is said. `debug` has every attempt to open a camera that is away."""


class TraceSettings(Section):
    """Where the ways of single frames are told to: OpenTelemetry's protocol, over HTTP."""

    endpoint: str = Field(pattern=r"^https?://[^/\s]+(/\S*)?$")
    """Of the collector, as in http://127.0.0.1:4318."""
    every: int = Field(default=100, ge=1)
    """One frame of each camera in so many is followed."""
    slow: float = Field(default=1.0, gt=0)
    """So is one that takes more seconds than that, or fails; one a second at most."""
    service_name: str = Field(default="yolostream", min_length=1)
    """What we are called there."""

    @model_validator(mode="after")
    def _has_no_login(self) -> TraceSettings:
        if any(sign in self.endpoint for sign in "@?#"):
            # It is part of a command line, which everybody on the machine reads.
            raise ValueError(
                "an endpoint has no login in it: export OTEL_EXPORTER_OTLP_HEADERS instead"
            )
        return self

    @property
    def url(self) -> str:
        """The endpoint, with its path."""
        base = self.endpoint.rstrip("/")
        return base if base.count("/") > 2 else f"{base}/v1/traces"
