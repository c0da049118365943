"""Write the schema of a camera's settings into the schema of the Helm chart's values.

Helm looks at one file only, so the chart has a copy of docs/cameras.schema.json, without its words.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_REPOSITORY = Path(__file__).resolve().parents[1]
CAMERAS = _REPOSITORY / "docs" / "cameras.schema.json"
CHART = _REPOSITORY / "deploy" / "helm" / "yolostream" / "values.schema.json"


def definitions() -> dict[str, Any]:
    """The sections of `cameras.yaml`, for `$defs` of the chart's schema."""
    stripped: dict[str, Any] = _without_words(json.loads(CAMERAS.read_text())["$defs"])
    return stripped


def main() -> None:
    """Run the command line."""
    values = {**json.loads(CHART.read_text()), "$defs": definitions()}
    CHART.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n")


def _without_words(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_words(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    words = ("description", "title")
    # A setting may be called so, too; it has a schema.
    return {
        key: _without_words(value)
        for key, value in schema.items()
        if not (key in words and isinstance(value, str))
    }


if __name__ == "__main__":
    main()
