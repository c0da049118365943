"""Reads `cameras.yaml`, and says in which line something is wrong."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from yolostream.errors import ServiceError
from yolostream.service.settings import Configuration


def read(path: Path) -> Configuration:
    """Read a configuration.

    Raises:
        ServiceError: it cannot be read, or says something that is wrong.
    """
    try:
        return Configuration.model_validate(yaml.safe_load(path.read_text()) or {})
    except (OSError, ValueError, yaml.YAMLError) as error:
        wrong = error.errors(include_input=False) if isinstance(error, ValidationError) else error
        raise ServiceError(f"{path}: {wrong}") from None
