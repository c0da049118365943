"""The cameras of `yolostream run`: from a configuration, or from addresses as arguments."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from yolostream.errors import ServiceError
from yolostream.service import configuration_file
from yolostream.service.runtime_store import RuntimeStore
from yolostream.service.settings import CameraDefaults, CameraSettings, Configuration
from yolostream.sources import find_sources

_LONGEST = 60
"""Characters of a camera's name at most, before a number is added to make it unique."""


@dataclass(frozen=True)
class Site:
    """A configuration and its file."""

    configuration: Configuration
    path: Path | None = None
    """The configuration's file; None if cameras were named on the command line."""
    contents: bytes = b""
    """The contents of the file when it was read."""

    @property
    def store(self) -> RuntimeStore | None:
        """The store of changes that are made over the API; None without a file."""
        if self.path is None:
            return None
        state = os.environ.get("STATE_DIRECTORY")
        folder = self.configuration.state or (Path(state) if state else self.path.parent)
        return RuntimeStore(folder / f"{self.path.stem}.runtime.yaml")


def read(path: Path) -> Site:
    """Read a site from its configuration file.

    Raises:
        ConfigurationError: the file cannot be read, or is not valid.
    """
    # Before the configuration is parsed, so that a write in between counts as a change.
    contents = path.read_bytes() if path.is_file() else b""
    return Site(configuration_file.read(path), path, contents)


def named(specs: Sequence[str], model: str) -> Site:
    """Make a site from addresses on the command line.

    Args:
        specs: addresses of cameras, or paths of video files.
        model: the ensemble for all of them.

    Raises:
        SourceError: an argument is not a source.
        ServiceError: an argument names several sources.
    """
    found, errors = find_sources(specs, waits_for_devices=True)
    if errors:
        raise errors[0]
    if len(found) != len(specs):
        raise ServiceError(
            f"{len(specs)} arguments name {len(found)} sources: each must be one address or one "
            "video, and not a folder or a glob"
        )
    names = _names_of([source.name for source in found])
    cameras = {name: CameraSettings(source=spec) for name, spec in zip(names, specs, strict=True)}
    return Site(Configuration(defaults=CameraDefaults(model=model), cameras=cameras))


def _names_of(words: Sequence[str]) -> list[str]:
    """Unique, valid names of cameras that resemble these words, which may be names of files."""
    names: list[str] = []
    for word in words:
        name = re.sub(r"[^a-zA-Z0-9_-]+", "_", word).lstrip("_-")[:_LONGEST] or "camera"
        others = (f"{name}_{number}" for number in itertools.count(2))
        names.append(next(one for one in itertools.chain([name], others) if one not in names))
    return names
