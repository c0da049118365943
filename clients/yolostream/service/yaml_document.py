"""Reads YAML and remembers the line of each value."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from yolostream.printable import printable
from yolostream.redaction import redact_argument

_VARIABLE = re.compile(r"\$\{(\w+)\}")

_EXPANDED_LATER = frozenset(("source", "username", "password"))
"""Keys whose variables are not expanded here, so that no copy and no message contains a secret."""

_MAX_VALUES = 1_000_000
"""Largest number of values in a file. A few lines of nested aliases could stand for any number."""
_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"

Location = tuple[int | str, ...]
"""The path of a value: keys, and indices of list items, from the outermost one on."""


@dataclass(frozen=True, order=True)
class Problem:
    """A problem in a document."""

    path: Location = field(compare=False)
    words: str
    """What is wrong, and how to correct it."""
    line: int | None = None
    """Line of the problem; None if it follows from `path`."""

    @property
    def message(self) -> str:
        """The message for people, with the path."""
        where = ".".join(redact_argument(printable(str(part))) for part in self.path)
        return f"{where}: {self.words}" if where else self.words


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # it has no types
    """Reads dates as text, because no key takes a date."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # PyYAML declares it in the same way
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class Document:
    """A YAML document, with the environment variables in it expanded.

    Args:
        text: the document.

    Raises:
        ValueError: its aliases stand for too many values.
        yaml.YAMLError: it is not YAML.
    """

    def __init__(self, text: str) -> None:
        self.problems: list[Problem] = []
        """Duplicate keys, unset variables and characters that are not allowed."""
        self._loader = _Loader(text)
        self._root: yaml.Node | None = self._loader.get_single_node()
        if self._root is not None:
            if (count := _value_count(self._root, {})) > _MAX_VALUES:
                raise ValueError(
                    f"with its aliases expanded, the file has {count:,} values, and at most "
                    f"{_MAX_VALUES:,} are read: use fewer aliases"
                )
            self._prepare(self._root, ())

    def value(self) -> Any:
        """The document as Python objects; an empty document is an empty dictionary."""
        return {} if self._root is None else self._loader.construct_document(self._root)

    def line_of(self, problem: Problem) -> int:
        """The line of a problem, or of the innermost section around it that is in the document."""
        if problem.line is not None:
            return problem.line
        node, line = self._root, 1
        for part in problem.path:
            match node:
                case yaml.MappingNode():
                    # If a merged mapping has the same key, the last one holds.
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

    def _prepare(self, node: yaml.Node, path: Location, around: tuple[yaml.Node, ...] = ()) -> None:
        """Find duplicate keys, make every key text, and expand variables."""
        if node in around:
            # The node contains itself, and is being prepared already.
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
                self._expand(node, path)

    def _check_keys(self, node: yaml.MappingNode, path: Location) -> None:
        first: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                # Loading the document reports it.
                continue
            if key.tag != _MERGE:
                # YAML would read a camera named 1 as a number, and one named no as a boolean.
                key.tag = _TEXT
            if key.value in first:
                line = first[key.value]
                words = f"line {line} has the same key: remove one of them"
                self._add_problem(key, (*path, key.value), words)
            first.setdefault(key.value, _line(key))

    def _expand(self, node: yaml.ScalarNode, path: Location) -> None:
        if "\0" in node.value:
            # The operating system would cut names and addresses off there.
            self._add_problem(node, path, "the value contains a NUL character: remove it")
            node.value = node.value.replace("\0", "")
        variables = _VARIABLE.findall(node.value)
        for name in variables:
            if not os.environ.get(name):
                words = f"the environment variable {name} is not set: export it"
                self._add_problem(node, path, words)
        if variables and not _EXPANDED_LATER.intersection(path[-1:]):
            node.value = _VARIABLE.sub(lambda found: os.environ.get(found[1], ""), node.value)

    def _add_problem(self, node: yaml.Node, path: Location, words: str) -> None:
        self.problems.append(Problem(path, words, _line(node)))


def _value_count(node: yaml.Node, known: dict[int, int]) -> int:
    """Number of values that a node stands for when its aliases are expanded."""
    if id(node) not in known:
        # Ends the recursion for a node that contains itself.
        known[id(node)] = 0
        below: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            below = [one for pair in node.value for one in pair]
        elif isinstance(node, yaml.SequenceNode):
            below = node.value
        known[id(node)] = 1 + sum(_value_count(one, known) for one in below)
    return known[id(node)]


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
