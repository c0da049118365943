"""Reads `cameras.yaml` and reports every problem with its line and a fix."""

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

_MAX_BYTES = 4_000_000
"""Largest size of a file. Reading one of this size takes half a minute, and 100,000 cameras need
less."""


def read(path: Path) -> Configuration:
    """Read a configuration. Cameras are not opened.

    Raises:
        ConfigurationError: the file cannot be read or is not valid. The message contains all
            problems that were found.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ConfigurationError(
                f"{path} has more than {_MAX_BYTES:,} bytes, which is too much for a list of "
                "cameras: name another file"
            )
        text = data.decode()
    except OSError as error:
        raise ConfigurationError(
            f"the configuration {path} cannot be read ({error.strerror}): name an existing file "
            "that this user may read"
        ) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigurationError(
            f"{path}:{line}: this is not UTF-8: save the file as text in UTF-8"
        ) from error
    return parse(text, str(path))


def parse(text: str, name: str) -> Configuration:
    """Read a configuration from text; see `read`.

    Args:
        text: content of the file.
        name: name of the file, for errors.
    """
    try:
        document = Document(text)
        value = document.value()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        raise ConfigurationError(f"{name}:{line}: this is not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{name}: this is not YAML: {printable(str(error))}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{name}: a value cannot be read: {error}") from None
    problems = document.problems
    try:
        configuration = Configuration.model_validate(value)
    except ValidationError as error:
        # If a value may be a boolean or of another type, pydantic reports an error for both. The
        # one of the other type is more useful.
        errors = [one for one in error.errors(include_url=False) if one["loc"][-1:] != ("bool",)]
        problems += [explained(one) for one in errors]
    else:
        problems += _source_problems(configuration)
    if problems:
        located = sorted((document.line_of(one), one) for one in problems)
        raise ConfigurationError(
            "\n".join(f"{name}:{line}: {one.message}" for line, one in located)
        )
    return configuration


def _source_problems(configuration: Configuration) -> Iterator[Problem]:
    """A problem for each camera whose source is not valid."""
    for name, camera in configuration.cameras.items():
        try:
            configuration.resolved(camera).task(name, configuration.outputs.folder)
        except SourceError as error:
            yield Problem(("cameras", name, "source"), str(error))
