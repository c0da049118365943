"""Interactive documentation of the API: the OpenAPI schema, and Swagger UI without a CDN."""

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
"""Files of swagger-ui-dist 5.35.0 (npm, Apache-2.0), and our own `index.html` and `show.js`."""

DESCRIPTION = """\
Cameras are resources: `PUT` adds or replaces a camera, `PATCH` changes some of its settings, and
`DELETE` removes it.
If the service uses tokens, send one as `Authorization: Bearer TOKEN`.
Every error is a problem of RFC 9457. Its member `fix` tells how to solve it.
"""


def add_docs(app: FastAPI) -> None:
    """Serve Swagger UI at `/docs` and the schema at `/openapi.json`."""
    app.openapi = lambda: _schema(app)  # type: ignore[method-assign]
    # Without this route, the mount of the page at "/" would answer `/docs` with 404.
    app.add_route(PATH, lambda request: RedirectResponse(f"{PATH}/"), include_in_schema=False)
    app.mount(PATH, StaticFiles(directory=FOLDER, html=True))


def _schema(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes
        )
        components = schema.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= problem.pop("$defs", {}) | {"ProblemDetails": problem}
        # FastAPI describes its own errors, which this API never returns.
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        # Responses contain these secrets as stars, so they are not write-only.
        for shown, key in (("CameraSettings-Output", "password"), ("OutputSettings", "push")):
            for kind in schemas[shown]["properties"][key]["anyOf"]:
                kind.pop("writeOnly", None)
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{}, {"token": []}]
        app.openapi_schema = schema
    return app.openapi_schema
