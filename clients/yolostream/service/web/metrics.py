"""What Prometheus scrapes."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from yolostream.service.web.context import context_of

router = APIRouter()


# Not on the event loop: many cameras have many series.
@router.get("/metrics", response_class=Response, include_in_schema=False)
def metrics(request: Request) -> Response:
    """All metrics, in the format that is asked for."""
    registry: CollectorRegistry = request.app.state.metrics
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), headers={"Content-Type": content_type})


@router.get("/metrics/targets", include_in_schema=False)
async def targets(request: Request) -> list[dict[str, list[str]]]:
    """Where the Triton that was started for the service has its metrics, each time elsewhere.

    It is said as Prometheus asks for it, see `http_sd_configs`.
    """
    triton = context_of(request).triton
    if triton is None:
        return []
    return [{"targets": [urlsplit(triton.metrics_url).netloc]}]
