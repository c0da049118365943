"""YAML whose values know in which lines they are."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from yolostream.printable import printable
from yolostream.redaction import redact_argument

_VARIABLE = re.compile(r"\$\{(\w+)\}")

_FILLED_LATER = frozenset(("source", "username", "password"))
"""Variables stay in these: nothing that is kept, or said, has the secret."""

_MOST_VALUES = 1_000_000
"""Of a file; aliases of aliases make any number of them out of a few lines."""
_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"

Location = tuple[int | str, ...]
"""Keys and numbers of items, from the outermost on."""


@dataclass(frozen=True, order=True)
class Problem:
    """Something that is wrong."""

    path: Location = field(compare=False)
    words: str
    """What is wrong, and how to mend it."""
    line: int | None = None
    """Where it is known already."""

    @property
    def said(self) -> str:
        """What people are told."""
        where = ".".join(redact_argument(printable(str(part))) for part in self.path)
        return f"{where}: {self.words}" if where else self.words


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # it has no types
    """Takes nothing for a date: there are none."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # as PyYAML has it
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class Document:
    """A YAML file, whose values know their lines."""

    def __init__(self, text: str) -> None:
        self.problems: list[Problem] = []
        self._loader = _Loader(text)
        self._root: yaml.Node | None = self._loader.get_single_node()
        if self._root is not None:
            if (count := _count_of(self._root, {})) > _MOST_VALUES:
                raise ValueError(
                    f"with all that its aliases repeat, it has {count:,} values, and at most "
                    f"{_MOST_VALUES:,} are read: write out what is meant"
                )
            self._prepare(self._root, ())

    def value(self) -> Any:
        """All of it, as Python has it."""
        return {} if self._root is None else self._loader.construct_document(self._root)

    def line_of(self, problem: Problem) -> int:
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

    def _prepare(self, node: yaml.Node, path: Location, around: tuple[yaml.Node, ...] = ()) -> None:
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

    def _check_keys(self, node: yaml.MappingNode, path: Location) -> None:
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

    def _fill_in(self, node: yaml.ScalarNode, path: Location) -> None:
        if "\0" in node.value:
            # The system ends names and addresses there.
            self._note(node, path, "there is a character NUL in it: leave it out")
            node.value = node.value.replace("\0", "")
        variables = _VARIABLE.findall(node.value)
        for name in variables:
            if not os.environ.get(name):
                self._note(node, path, f"the environment variable {name} is not set: export it")
        if variables and not _FILLED_LATER.intersection(path[-1:]):
            node.value = _VARIABLE.sub(lambda found: os.environ.get(found[1], ""), node.value)

    def _note(self, node: yaml.Node, path: Location, words: str) -> None:
        self.problems.append(Problem(path, words, _line(node)))


def _count_of(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for, with all that its aliases repeat."""
    if id(node) not in known:
        # One that has itself in it is no value of anything.
        known[id(node)] = 0
        below: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            below = [one for pair in node.value for one in pair]
        elif isinstance(node, yaml.SequenceNode):
            below = node.value
        known[id(node)] = 1 + sum(_count_of(one, known) for one in below)
    return known[id(node)]


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
