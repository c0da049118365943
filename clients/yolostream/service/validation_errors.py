"""Turns the errors that pydantic finds in a configuration into messages for people."""

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

_OUTPUT_TYPES = frozenset(kind.__name__ for kind in (Rotation, Segments, Hls))
"""Types of outputs that can also be set by `true`."""

UNKNOWN_KEY = frozenset({"extra_forbidden", "unexpected_keyword_argument"})
"""Pydantic's error types for an unknown key, of a model and of a dataclass."""

_MAX_SHOWN = 60
"""Characters of a wrong value that a message shows."""


def explained(error: ErrorDetails) -> Problem:
    """The problem that an error of pydantic stands for."""
    path = _without_types(error["loc"])
    match error["type"]:
        case kind if kind in UNKNOWN_KEY:
            return Problem(path, no_such_key(error["loc"], Configuration))
        case "missing":
            return Problem(path[:-1], f"the key {path[-1]} is missing: add it")
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


def _without_types(path: Location) -> Location:
    """A path as it is in the file: pydantic inserts the type of a value that may have several."""
    if "outputs" not in path:
        return path
    begin = path.index("outputs")
    return (*path[:begin], *(part for part in path[begin:] if part not in _OUTPUT_TYPES))


def _shown(error: ErrorDetails) -> str:
    """The beginning of a message, with the wrong value; empty if the value is a secret."""
    value = error["input"]
    if "password" in str(error["loc"][-1:]) or not isinstance(value, str | int | float | None):
        return ""
    words = redact_argument(printable(str(value)))
    return f"{words[:_MAX_SHOWN]}{'...' if len(words) > _MAX_SHOWN else ''} is wrong: "


def no_such_key(path: Sequence[int | str], top: type[BaseModel]) -> str:
    """The message for an unknown key, which suggests the most similar key.

    Args:
        path: path of the key, as pydantic gives it.
        top: the model that was validated.
    """
    keys = _keys_at(path[:-1], top)
    close = difflib.get_close_matches(str(path[-1]).lower(), keys, n=1, cutoff=0.5)
    hint = f": is it {close[0]}?" if close else f"; the keys are {', '.join(keys)}"
    return f"there is no such key{hint}"


def _keys_at(path: Sequence[int | str], top: type[BaseModel]) -> list[str]:
    """The keys of the section at a path."""
    types: list[Any] = [top]
    for part in path:
        # If a value may have several types, the path contains the name of the type as well.
        named = [one for one in types if getattr(one, "__name__", "") == part]
        types = named or [below for one in types for below in _types_below(one, str(part))]
    return [key for one in types for key in _fields_of(one)]


def _types_below(kind: Any, key: str) -> list[Any]:
    """The types that the value of a key may have."""
    below = get_args(kind)[1] if get_origin(kind) is dict else _fields_of(kind).get(key)
    is_choice = below is not None and get_origin(below) in (Union, UnionType)
    return list(get_args(below)) if is_choice else [below]


def _fields_of(kind: Any) -> dict[str, Any]:
    """The fields of a model or a dataclass, with their types."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    return get_type_hints(kind) if is_dataclass(kind) else {}
