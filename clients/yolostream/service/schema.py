"""The JSON Schema of `cameras.yaml`, with which editors complete keys and mark errors."""

from __future__ import annotations

import json

from yolostream.service.settings import Configuration


def schema() -> str:
    """The content of `docs/cameras.schema.json`, which `make reference` writes."""
    described = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cameras.yaml of yolostream",
        **Configuration.model_json_schema(),
    }
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"
