"""The JSON Schema of `cameras.yaml`, by which editors complete keys and mark what is wrong."""

from __future__ import annotations

import json

from yolostream.service.settings import Configuration


def schema() -> str:
    """What `docs/cameras.schema.json` has in it; `make reference` writes it there."""
    described = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cameras.yaml of yolostream",
        **Configuration.model_json_schema(),
    }
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"
