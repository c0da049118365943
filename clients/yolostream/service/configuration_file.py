"""Reads `cameras.yaml`, and says in which line something is wrong, and how to mend it."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from yolostream.errors import ConfigurationError, SourceError
from yolostream.outputs.hls import Hls
from yolostream.outputs.rotation import Rotation
from yolostream.outputs.segments import Segments
from yolostream.printable import printable
from yolostream.redaction import redact_argument
from yolostream.service.settings import Configuration

_VARIABLE = re.compile(r"\$\{(\w+)\}")

_FILLED_LATER = frozenset(("source", "username", "password"))
"""Variables stay in these: nothing that is kept, or said, has the secret."""

_KINDS = frozenset(kind.__name__ for kind in (Rotation, Segments, Hls))
"""Of values of which `true` stands for the usual ones."""

_MOST_SHOWN = 60
_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"

_Path = tuple[int | str, ...]


def read(path: Path) -> Configuration:
    """Read a configuration. Cameras are not opened.

    Raises:
        ConfigurationError: it cannot be read, or something in it is wrong; all of that is told.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"the configuration {path} cannot be read ({error.strerror}): name a file that is there"
        ) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigurationError(f"{path}:{line}: this is no text: write it in UTF-8") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> Configuration:
    """As `read`, with the text of a file and its name."""
    try:
        document = _Document(text)
        value = document.value()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        raise ConfigurationError(f"{name}:{line}: this is no YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{name}: this is no YAML: {printable(str(error))}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{name}: a value of it makes no sense: {error}") from None
    problems = document.problems
    try:
        configuration = Configuration.model_validate(value)
    except ValidationError as error:
        # Where a value may be true or something else, the something else tells what is wrong.
        wrong = [one for one in error.errors(include_url=False) if one["loc"][-1:] != ("bool",)]
        problems += [_problem(one) for one in wrong]
    else:
        problems += _of_cameras(configuration)
    if problems:
        located = sorted((document.line_of(one), one) for one in problems)
        raise ConfigurationError("\n".join(f"{name}:{line}: {one.said}" for line, one in located))
    return configuration


@dataclass(frozen=True, order=True)
class _Problem:
    path: _Path = field(compare=False)
    words: str
    line: int | None = None
    """Where it is known already."""

    @property
    def said(self) -> str:
        where = ".".join(redact_argument(printable(str(part))) for part in self.path)
        return f"{where}: {self.words}" if where else self.words


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # it has no types
    """Takes nothing for a date: there are none."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # as PyYAML has it
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class _Document:
    """A YAML file, whose values know their lines."""

    def __init__(self, text: str) -> None:
        self.problems: list[_Problem] = []
        self._loader = _Loader(text)
        self._root: yaml.Node | None = self._loader.get_single_node()
        if self._root is not None:
            self._prepare(self._root, ())

    def value(self) -> Any:
        """All of it, as Python has it."""
        return {} if self._root is None else self._loader.construct_document(self._root)

    def line_of(self, problem: _Problem) -> int:
        """The line of a problem, or of the nearest thing around it that is there."""
        if problem.line is not None:
            return problem.line
        node, line = self._root, 1
        for part in problem.path:
            match node:
                case yaml.MappingNode():
                    # Of what is merged from elsewhere, the last one counts.
                    found = [pair for pair in node.value if pair[0].value == str(part)]
                    if not found:
                        break
                    key, node = found[-1]
                    line = key.start_mark.line + 1
                case yaml.SequenceNode() if isinstance(part, int) and part < len(node.value):
                    node = node.value[part]
                    line = node.start_mark.line + 1
                case _:
                    break
        return line

    def _prepare(self, node: yaml.Node, path: _Path, around: tuple[yaml.Node, ...] = ()) -> None:
        """Find keys that come twice, take every key for text, and fill variables in."""
        if node in around:
            # It has itself in it, which is no value of anything.
            return
        match node:
            case yaml.MappingNode():
                self._check_keys(node, path)
                for key, value in node.value:
                    self._prepare(value, (*path, str(key.value)), (*around, node))
            case yaml.SequenceNode():
                for index, value in enumerate(node.value):
                    self._prepare(value, (*path, index), (*around, node))
            case yaml.ScalarNode():
                self._fill_in(node, path)

    def _check_keys(self, node: yaml.MappingNode, path: _Path) -> None:
        first: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                # It is told of where the value is made.
                continue
            if key.tag != _MERGE:
                # A camera may be called 1, or no.
                key.tag = _TEXT
            if key.value in first:
                line = first[key.value]
                words = f"it is there already, in line {line}: leave one of them out"
                self._note(key, (*path, key.value), words)
            first.setdefault(key.value, _line(key))

    def _fill_in(self, node: yaml.ScalarNode, path: _Path) -> None:
        variables = _VARIABLE.findall(node.value)
        for name in variables:
            if not os.environ.get(name):
                self._note(node, path, f"the environment variable {name} is not set: export it")
        if variables and not _FILLED_LATER.intersection(path[-1:]):
            node.value = _VARIABLE.sub(lambda found: os.environ.get(found[1], ""), node.value)

    def _note(self, node: yaml.Node, path: _Path, words: str) -> None:
        self.problems.append(_Problem(path, words, _line(node)))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _of_cameras(configuration: Configuration) -> Iterator[_Problem]:
    """Those whose sources are none."""
    for name, camera in configuration.cameras.items():
        try:
            configuration.resolved(camera).task(name, configuration.outputs.folder)
        except SourceError as error:
            yield _Problem(("cameras", name, "source"), str(error))


def _problem(error: ErrorDetails) -> _Problem:
    path = _as_written(error["loc"])
    match error["type"]:
        case "extra_forbidden" | "unexpected_keyword_argument":
            return _Problem(path, f"there is no such key{_nearest(error['loc'])}")
        case "missing":
            return _Problem(path[:-1], f"it lacks {path[-1]}: add it")
        case "value_error":
            return _Problem(path, str(error["ctx"]["error"]))
        case "string_type":
            return _Problem(path, f"{_shown(error)}it has to be text: put it in quotes")
        case "model_type" | "dict_type":
            return _Problem(path, f"{_shown(error)}it has to be keys with values, as in 'key: 1'")
        case "dataclass_type":
            return _Problem(path, f"{_shown(error)}it has to be true, false, or keys with values")
        case "string_pattern_mismatch" if path[-1] == "[key]":
            return _Problem(
                path[:-1],
                "the name of a camera is 1 to 64 letters of a to z, digits, '-' and '_', and "
                "begins with a letter or digit",
            )
    return _Problem(path, f"{_shown(error)}{error['msg'][0].lower()}{error['msg'][1:]}")


def _as_written(path: _Path) -> _Path:
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


def _nearest(path: Sequence[int | str]) -> str:
    keys = _keys_at(path[:-1])
    close = difflib.get_close_matches(str(path[-1]).lower(), keys, n=1, cutoff=0.5)
    return f": is it {close[0]}?" if close else f", only: {', '.join(keys)}"


def _keys_at(path: Sequence[int | str]) -> list[str]:
    """The keys that a section has."""
    kinds: list[Any] = [Configuration]
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
