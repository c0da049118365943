"""What Prometheus scrapes."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

PATH = "/metrics"

router = APIRouter()


# Not on the event loop: many cameras have many series.
@router.get(PATH, response_class=Response, include_in_schema=False)
def metrics(request: Request) -> Response:
    """All metrics, in the format that is asked for."""
    registry: CollectorRegistry = request.app.state.metrics
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), headers={"Content-Type": content_type})
