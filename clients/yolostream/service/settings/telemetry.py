"""The settings of logs and traces."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from yolostream.service.settings.section import Section


class LogSettings(Section):
    """The service's log on stderr."""

    format: Literal["console", "json"] = "console"
    """Format of the log: lines for people, or one JSON object per line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is logged. `debug` includes every attempt to open a camera that is away."""


class TraceSettings(Section):
    """Export of traces of single frames, by OpenTelemetry's protocol over HTTP."""

    endpoint: str = Field(pattern=r"^https?://[^/\s]+(/\S*)?$")
    """Address of the collector, such as http://127.0.0.1:4318."""
    every: int = Field(default=100, ge=1)
    """Every Nth frame of each camera is traced."""
    slow: float = Field(default=1.0, gt=0)
    """Seconds. A frame that takes longer or fails is traced too, but at most one per second and
    camera."""
    service_name: str = Field(default="yolostream", min_length=1)
    """Name of the service in the traces."""

    @model_validator(mode="after")
    def _has_no_login(self) -> TraceSettings:
        if any(sign in self.endpoint for sign in "@?#"):
            # It is part of a command line, which every user of the machine can read.
            raise ValueError(
                "the endpoint must not contain a login: export OTEL_EXPORTER_OTLP_HEADERS instead"
            )
        return self

    @property
    def url(self) -> str:
        """The endpoint with a path, which is `/v1/traces` by default."""
        base = self.endpoint.rstrip("/")
        return base if base.count("/") > 2 else f"{base}/v1/traces"
