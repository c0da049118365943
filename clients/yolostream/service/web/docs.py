"""The API's description for people, which needs nothing from elsewhere: Swagger UI is here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles

from yolostream.service.web.problems import ProblemDetails

PATH = "/docs"
FOLDER = Path(__file__).with_name("swagger_ui")
"""Of swagger-ui-dist 5.35.0 (npm, Apache-2.0), with a page and a script of ours."""

DESCRIPTION = """\
Cameras are resources: `PUT` adds or replaces one, `PATCH` changes what it names, `DELETE` removes
it.
Where the service has tokens, send one as `Authorization: Bearer TOKEN`.
Every error is a problem of RFC 9457, with a sentence on what helps in `fix`.
"""


def add_docs(app: FastAPI) -> None:
    """Serve the description at `/docs`, and its schema at `/openapi.json`."""
    app.openapi = lambda: _schema(app)  # type: ignore[method-assign]
    # The page's own files, below which everything else is looked for, would have none of it.
    app.add_route(PATH, lambda request: RedirectResponse(f"{PATH}/"), include_in_schema=False)
    app.mount(PATH, StaticFiles(directory=FOLDER, html=True))


def _schema(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes
        )
        components = schema.setdefault("components", {})
        # FastAPI's own, of errors that are never answered so.
        schemas = components.setdefault("schemas", {})
        problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= problem.pop("$defs", {}) | {"ProblemDetails": problem}
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        # They are shown, as stars.
        for shown, key in (("CameraSettings-Output", "password"), ("OutputSettings", "push")):
            for kind in schemas[shown]["properties"][key]["anyOf"]:
                kind.pop("writeOnly", None)
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{}, {"token": []}]
        app.openapi_schema = schema
    return app.openapi_schema
