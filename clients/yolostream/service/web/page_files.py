"""Static files of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import Response
from fastapi.staticfiles import StaticFiles

FOLDER = Path(__file__).with_name("page")

_HEADERS = {
    # No content of other sites, no inline scripts, and no framing.
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",
            "media-src blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    # Browsers revalidate each file, because a new version of the service has a new page.
    "Cache-Control": "no-cache",
}


class PageFiles(StaticFiles):
    """Serves the files of the page with its security headers."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER, html=True)

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """See `StaticFiles`."""
        response = super().file_response(*arguments, **options)
        response.headers.update(_HEADERS)
        return response
