"""Everything that the service answers over HTTP."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from yolostream._version import __version__
from yolostream.server.embedded import EmbeddedTriton
from yolostream.service.metrics.registry import registry_of
from yolostream.service.service import Service
from yolostream.service.web import cameras, live, metrics

_PAGE = Path(__file__).with_name("page")


def new_app(service: Service, triton: EmbeddedTriton | None = None) -> FastAPI:
    """The application that serves the page, the API, the video and the metrics of a service.

    Args:
        service: it.
        triton: that was started for it; None where another one is asked.
    """
    app = FastAPI(title="yolostream", version=__version__)
    app.state.service = service
    app.state.metrics = registry_of(service, triton)
    app.state.triton = triton
    app.include_router(cameras.router)
    app.include_router(live.router)
    app.include_router(metrics.router)
    app.mount("/", StaticFiles(directory=_PAGE, html=True))
    return app
