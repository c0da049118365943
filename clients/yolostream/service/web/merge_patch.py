"""JSON merge patch (RFC 7396)."""

from __future__ import annotations

from typing import Any


def merged(target: Any, patch: Any) -> Any:
    """Apply a patch to a JSON value, and return the result. Null removes a key."""
    if not isinstance(patch, dict):
        return patch
    before = target if isinstance(target, dict) else {}
    after = before | {key: merged(before.get(key), value) for key, value in patch.items()}
    return {key: value for key, value in after.items() if value is not None}
