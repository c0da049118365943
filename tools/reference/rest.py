"""The REST API as a page."""

from __future__ import annotations

from tools.reference.types import Schema, default, described, words

_TOP = """# REST reference

This page lists every request of the live service: its parameters, its body and its answers.
[REST API](../rest.md) explains how the requests are used. A running service describes itself at
`/docs` and `/openapi.json`; this page is generated from the same description (`make reference`).

"""

_PROBLEM = "Problem"


def page(openapi: Schema) -> str:
    """Markdown of an API.

    Args:
        openapi: OpenAPI 3.1, as FastAPI makes it.
    """
    parts = [_TOP, "## Requests\n"]
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            parts.append(_request(f"{method.upper()} {path}", operation))
    parts.append("\n## Bodies and answers\n")
    for name, schema in openapi["components"]["schemas"].items():
        parts.append(_section(name, schema))
    return "".join(parts)


def _request(title: str, operation: Schema) -> str:
    """One request: what it does, what it takes, what it answers."""
    parts = [f"\n### {title}\n\n{operation.get('description', '')}\n"]
    parameters = operation.get("parameters", [])
    if parameters:
        parts.append("\n| parameter | in | type | meaning |\n| --- | --- | --- | --- |\n")
        parts += [
            f"| `{one['name']}` | {one['in']} | {words(one['schema'])} | {described(one)} |\n"
            for one in parameters
        ]
    for media, body in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"\nBody: `{media}`{_kind(body)}\n")
    answers, failures = _answers(operation["responses"])
    parts.append("\n" + "".join(f"- {one}\n" for one in answers))
    parts.append(f"- {', '.join(sorted(failures))}: [{_PROBLEM}](#{_PROBLEM.lower()})\n")
    return "".join(parts)


def _answers(responses: Schema) -> tuple[list[str], list[str]]:
    """What succeeds, each with its media types; and the codes of what fails."""
    good = [f"{code}: {_content(one)}" for code, one in responses.items() if code < "400"]
    return good, [code for code in responses if code >= "400"]


def _content(response: Schema) -> str:
    content = response.get("content", {}).items()
    return ", ".join(f"`{media}`{_kind(body)}" for media, body in content) or "no body described"


def _kind(body: Schema) -> str:
    """Of a body, the definition that it follows, where it follows one."""
    schema = body.get("schema", {})
    return f", {words(schema)}" if schema and schema.get("type") != "string" else ""


def _section(name: str, schema: Schema) -> str:
    """One definition."""
    introduction = described(schema)
    required = schema.get("required", [])
    rows = [
        f"| `{key}` | {words(one)} | {'required' if key in required else default(one)} "
        f"| {described(one)} |\n"
        for key, one in schema.get("properties", {}).items()
    ]
    table = "| field | type | default | meaning |\n| --- | --- | --- | --- |\n" + "".join(rows)
    return f"\n### {name}\n\n" + (f"{introduction}\n\n" if introduction else "") + table
