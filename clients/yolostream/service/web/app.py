"""The ASGI application of the service."""

from __future__ import annotations

from fastapi import FastAPI

from yolostream._version import __version__
from yolostream.service.metrics.registry import registry_of
from yolostream.service.web import (
    cameras,
    changes,
    detect,
    detections,
    docs,
    events,
    live,
    metrics,
    models,
    overview,
    probe,
    session,
)
from yolostream.service.web.body_limit import BodyLimit
from yolostream.service.web.context import Context
from yolostream.service.web.exception_handlers import add_exception_handlers
from yolostream.service.web.guard import Guard
from yolostream.service.web.page_files import FOLDER, PageFiles
from yolostream.service.web.problems import COMMON

_TOPICS = (
    cameras,
    changes,
    live,
    detections,
    detect,
    probe,
    events,
    models,
    overview,
    session,
    metrics,
)


def new_api() -> FastAPI:
    """The routes without a service, from which `openapi()` generates the schema."""
    app = FastAPI(
        title="yolostream",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        responses=COMMON,
    )
    for topic in _TOPICS:
        app.include_router(topic.router)
    return app


def new_app(context: Context) -> FastAPI:
    """The application that serves the page, the API, the video and the metrics of a service."""
    app = new_api()
    app.state.context = context
    app.state.metrics = registry_of(context.service, context.triton, context.coordinator)
    docs.add_docs(app)
    app.mount("/", PageFiles())
    add_exception_handlers(app)
    app.add_middleware(BodyLimit, larger={detect.PATH: detect.MAX_BYTES})
    app.add_middleware(
        Guard,
        access=context.access,
        open_paths=_open_paths(),
        reading_paths=frozenset({detect.PATH}),
        failures=context.failures,
    )
    return app


def _open_paths() -> frozenset[str]:
    """Paths that need no token: static files, the schema, and the login."""
    pages = {"/": FOLDER, f"{docs.PATH}/": docs.FOLDER}
    files = (
        path + str(file.relative_to(folder))
        for path, folder in pages.items()
        for file in folder.rglob("*")
        if file.is_file()
    )
    return frozenset({*pages, docs.PATH, "/openapi.json", session.PATH, *files})
