"""Types of a JSON Schema in the words of a table."""

from __future__ import annotations

import json
from typing import Any

Schema = dict[str, Any]

_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
}


def reference(schema: Schema) -> str | None:
    """Name of the definition that a schema refers to, or None."""
    found = schema.get("$ref")
    return str(found).rpartition("/")[2] if found else None


def words(schema: Schema) -> str:
    """A type, as `number, at least 0` or `string or null`."""
    name = reference(schema)
    if name is not None:
        return f"[{name}](#{anchor(name)})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(words(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    return ", ".join([_base(schema), *_bounds(schema)])


def _base(schema: Schema) -> str:
    kind = str(schema.get("format") or schema.get("type") or "anything")
    if kind == "array":
        items = words(schema.get("items", {}))
        return f"list of ({items})" if " or " in items else f"list of {items}"
    return kind


def _bounds(schema: Schema) -> list[str]:
    return [said.format(schema[key]) for key, said in _BOUNDS.items() if key in schema]


def default(schema: Schema) -> str:
    """A default as YAML and JSON have it; empty where there is none or a whole section."""
    if "default" not in schema or isinstance(schema["default"], dict):
        return ""
    return f"`{json.dumps(schema['default'], ensure_ascii=False)}`"


def described(schema: Schema) -> str:
    """A description as one line of a table."""
    return " ".join(str(schema.get("description", "")).split()).replace("|", "\\|")


def anchor(name: str) -> str:
    """Where the heading of a definition is found in its page."""
    return name.lower()
