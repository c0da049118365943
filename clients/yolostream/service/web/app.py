"""Everything that the service answers over HTTP."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from yolostream._version import __version__
from yolostream.service.service import Service
from yolostream.service.web import cameras, live

_PAGE = Path(__file__).with_name("page")


def new_app(service: Service) -> FastAPI:
    """The application that serves the page, the API and the video of a service."""
    app = FastAPI(title="yolostream", version=__version__)
    app.state.service = service
    app.include_router(cameras.router)
    app.include_router(live.router)
    app.mount("/", StaticFiles(directory=_PAGE, html=True))
    return app
