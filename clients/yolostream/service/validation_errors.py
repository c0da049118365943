"""What pydantic finds wrong with a configuration, in words for people."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from yolostream.outputs.hls import Hls
from yolostream.outputs.rotation import Rotation
from yolostream.outputs.segments import Segments
from yolostream.printable import printable
from yolostream.redaction import redact_argument
from yolostream.service.settings import Configuration
from yolostream.service.yaml_document import Location, Problem

_KINDS = frozenset(kind.__name__ for kind in (Rotation, Segments, Hls))
"""Of values of which `true` stands for the usual ones."""

UNKNOWN_KEY = frozenset({"extra_forbidden", "unexpected_keyword_argument"})
"""Of models and of dataclasses: pydantic's names for a key that there is not."""

_MOST_SHOWN = 60


def explained(error: ErrorDetails) -> Problem:
    """What is wrong, and how to mend it."""
    path = _as_written(error["loc"])
    match error["type"]:
        case kind if kind in UNKNOWN_KEY:
            return Problem(path, no_such_key(error["loc"], Configuration))
        case "missing":
            return Problem(path[:-1], f"it lacks {path[-1]}: add it")
        case "value_error":
            return Problem(path, str(error["ctx"]["error"]))
        case "string_type":
            return Problem(path, f"{_shown(error)}it has to be text: put it in quotes")
        case "model_type" | "dict_type":
            return Problem(path, f"{_shown(error)}it has to be keys with values, as in 'key: 1'")
        case "dataclass_type":
            return Problem(path, f"{_shown(error)}it has to be true, false, or keys with values")
        case "string_pattern_mismatch" if path[-1] == "[key]":
            return Problem(
                path[:-1],
                "the name of a camera is 1 to 64 letters of a to z, digits, '-' and '_', and "
                "begins with a letter or digit",
            )
    return Problem(path, f"{_shown(error)}{error['msg'][0].lower()}{error['msg'][1:]}")


def _as_written(path: Location) -> Location:
    """Without the kinds that a value may be of, which pydantic names in between."""
    if "outputs" not in path:
        return path
    begin = path.index("outputs")
    return (*path[:begin], *(part for part in path[begin:] if part not in _KINDS))


def _shown(error: ErrorDetails) -> str:
    """The value that is wrong, unless it is a secret."""
    value = error["input"]
    if "password" in str(error["loc"][-1:]) or not isinstance(value, str | int | float | None):
        return ""
    words = redact_argument(printable(str(value)))
    return f"{words[:_MOST_SHOWN]}{'...' if len(words) > _MOST_SHOWN else ''} is wrong: "


def no_such_key(path: Sequence[int | str], top: type[BaseModel]) -> str:
    """What is said of an unknown key, with the nearest one.

    Args:
        path: of the key, as pydantic gives it.
        top: the model that was validated.
    """
    keys = _keys_at(path[:-1], top)
    close = difflib.get_close_matches(str(path[-1]).lower(), keys, n=1, cutoff=0.5)
    hint = f": is it {close[0]}?" if close else f", only: {', '.join(keys)}"
    return f"there is no such key{hint}"


def _keys_at(path: Sequence[int | str], top: type[BaseModel]) -> list[str]:
    """The keys that a section has."""
    kinds: list[Any] = [top]
    for part in path:
        # Where a value may be of several kinds, pydantic names the kind as well.
        named = [kind for kind in kinds if getattr(kind, "__name__", "") == part]
        kinds = named or [below for kind in kinds for below in _kinds_below(kind, str(part))]
    return [key for kind in kinds for key in _fields_of(kind)]


def _kinds_below(kind: Any, key: str) -> list[Any]:
    below = get_args(kind)[1] if get_origin(kind) is dict else _fields_of(kind).get(key)
    is_choice = below is not None and get_origin(below) in (Union, UnionType)
    return list(get_args(below)) if is_choice else [below]


def _fields_of(kind: Any) -> dict[str, Any]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    return get_type_hints(kind) if is_dataclass(kind) else {}
