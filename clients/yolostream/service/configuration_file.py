"""Reads `cameras.yaml`, and says in which line something is wrong, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml
from pydantic import ValidationError

from yolostream.errors import ConfigurationError, SourceError
from yolostream.printable import printable
from yolostream.service.settings import Configuration
from yolostream.service.validation_errors import explained
from yolostream.service.yaml_document import Document, Problem

_MOST_BYTES = 4_000_000
"""Of a file; that takes half a minute, and 100,000 cameras have fewer."""


def read(path: Path) -> Configuration:
    """Read a configuration. Cameras are not opened.

    Raises:
        ConfigurationError: it cannot be read, or something in it is wrong; all of that is told.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ConfigurationError(
                f"{path} has more than {_MOST_BYTES:,} bytes, which is no list of cameras: name "
                "the right file"
            )
        text = data.decode()
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
        document = Document(text)
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
        problems += [explained(one) for one in wrong]
    else:
        problems += _of_cameras(configuration)
    if problems:
        located = sorted((document.line_of(one), one) for one in problems)
        raise ConfigurationError("\n".join(f"{name}:{line}: {one.said}" for line, one in located))
    return configuration


def _of_cameras(configuration: Configuration) -> Iterator[Problem]:
    """Those whose sources are none."""
    for name, camera in configuration.cameras.items():
        try:
            configuration.resolved(camera).task(name, configuration.outputs.folder)
        except SourceError as error:
            yield Problem(("cameras", name, "source"), str(error))
