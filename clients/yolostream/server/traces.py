"""What a tritonserver is told so that it exports traces."""

from __future__ import annotations

_DELAY_MS = 500
"""What is finished waits so long for others: a server that is stopped loses what waits."""


def exporting_traces(endpoint: str) -> list[str]:
    """Options that have it follow the requests whose caller follows them, and no others.

    Args:
        endpoint: address of OTLP over HTTP, with its path.
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
