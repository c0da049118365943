"""Endpoints for Prometheus."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from yolostream.service.web.context import context_of

router = APIRouter()


# It is not async, because formatting the metrics of many cameras would block the event loop.
@router.get("/metrics", response_class=Response, include_in_schema=False)
def metrics(request: Request) -> Response:
    """Return all metrics in the format of the header `Accept`."""
    registry: CollectorRegistry = request.app.state.metrics
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), headers={"Content-Type": content_type})


@router.get("/metrics/targets", include_in_schema=False)
async def targets(request: Request) -> list[dict[str, list[str]]]:
    """Return the address of the metrics of the embedded Triton, whose port is not fixed.

    The format is that of Prometheus' HTTP service discovery (`http_sd_configs`).
    """
    triton = context_of(request).triton
    if triton is None:
        return []
    return [{"targets": [urlsplit(triton.metrics_url).netloc]}]
