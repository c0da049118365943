"""JSON merge patch (RFC 7396)."""

from __future__ import annotations

from typing import Any


def merged(said: Any, changes: Any) -> Any:
    """What was said, with the changes of a patch; null takes a key away."""
    if not isinstance(changes, dict):
        return changes
    kept = said if isinstance(said, dict) else {}
    whole = kept | {key: merged(kept.get(key), change) for key, change in changes.items()}
    return {key: value for key, value in whole.items() if value is not None}
