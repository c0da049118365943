"""Which pages are generated, and from what."""

from __future__ import annotations

import json
from pathlib import Path

from yolostream.service.schema import schema
from yolostream.service.web.app import new_api

from tools.reference import configuration, errors, rest

TROUBLESHOOTING = "troubleshooting.md"


def pages(docs: Path) -> dict[str, str]:
    """Text by path below `docs`.

    Args:
        docs: Folder of the documentation. The page of errors there is written by hand but for its
            table of exit codes.
    """
    troubleshooting = (docs / TROUBLESHOOTING).read_text(encoding="utf-8")
    return {
        "cameras.schema.json": schema(),
        "reference/configuration.md": configuration.page(json.loads(schema())),
        "reference/rest.md": rest.page(new_api().openapi()),
        TROUBLESHOOTING: errors.filled(troubleshooting),
    }
