"""Options with which tritonserver exports OpenTelemetry traces."""

from __future__ import annotations

_DELAY_MS = 500
"""Finished spans are exported after this delay. A server that stops loses those that wait."""


def exporting_traces(endpoint: str) -> list[str]:
    """Options for tritonserver that trace only requests with a `traceparent`.

    Args:
        endpoint: URL of OTLP over HTTP, with its path.
    """
    settings = (
        "mode=opentelemetry",
        "level=TIMESTAMPS",
        "rate=0",
        f"opentelemetry,url={endpoint}",
        "opentelemetry,resource=service.name=triton",
        f"opentelemetry,bsp_schedule_delay={_DELAY_MS}",
    )
    return [f"--trace-config={setting}" for setting in settings]
