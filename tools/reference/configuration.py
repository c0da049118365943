"""`cameras.yaml` as a page."""

from __future__ import annotations

from tools.reference.types import Schema, default, described, reference, words

_TOP = """# Configuration reference

This page lists every key of `cameras.yaml`, with its type and its default.
[Run cameras](../live.md#configuration) explains how the file is used, and
[`cameras.example.yaml`](../../cameras.example.yaml) is a file to start from. This page, and the
[JSON Schema](../cameras.schema.json) that editors read, are generated from the code
(`make reference`).

"""


def page(schema: Schema) -> str:
    """Markdown of a configuration.

    Args:
        schema: JSON Schema with its definitions, as `yolostream.service.schema` makes it.
    """
    parts = [_TOP, "## The file\n\n", _table(schema)]
    for name, section in schema["$defs"].items():
        parts += [f"\n## {name}\n\n", _introduction(section), _table(section)]
    return "".join(parts)


def _introduction(section: Schema) -> str:
    words_of_it = described(section)
    return f"{words_of_it}\n\n" if words_of_it else ""


def _table(section: Schema) -> str:
    """One line a key."""
    required = section.get("required", [])
    rows = [
        f"| `{key}` | {_type(key, found)} | {'required' if key in required else default(found)} "
        f"| {described(found)} |\n"
        for key, found in section.get("properties", {}).items()
    ]
    return "| key | type | default | meaning |\n| --- | --- | --- | --- |\n" + "".join(rows)


def _type(key: str, schema: Schema) -> str:
    """Named cameras are a mapping, whose values have a section of their own."""
    patterns = list(schema.get("patternProperties", {}).values())
    if patterns and reference(patterns[0]):
        return f"name: {words(patterns[0])}"
    return words(schema)
