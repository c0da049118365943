"""What `yolostream run` is given: a configuration, or cameras by their addresses."""

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
"""Name of a camera, before it is told apart from others."""


@dataclass(frozen=True)
class Site:
    """A configuration, and where it comes from."""

    configuration: Configuration
    path: Path | None = None
    """Of its file; None where cameras were named to the command."""
    contents: bytes = b""
    """Of the file, as it was read."""

    @property
    def store(self) -> RuntimeStore | None:
        """Keeps what is changed over the API."""
        if self.path is None:
            return None
        state = os.environ.get("STATE_DIRECTORY")
        folder = self.configuration.state or (Path(state) if state else self.path.parent)
        return RuntimeStore(folder / f"{self.path.stem}.runtime.yaml")


def read(path: Path) -> Site:
    """A site whose configuration is a file.

    Raises:
        ConfigurationError: something in it is wrong.
    """
    # Before it is read: what is written meanwhile counts as a change.
    contents = path.read_bytes() if path.is_file() else b""
    return Site(configuration_file.read(path), path, contents)


def named(specs: Sequence[str], model: str) -> Site:
    """A site with cameras that were named to the command.

    Raises:
        SourceError: one of them is none.
    """
    found, errors = find_sources(specs, waits_for_devices=True)
    if errors:
        raise errors[0]
    if len(found) != len(specs):
        raise ServiceError("each camera is one address or one video: name no folders")
    names = _names_of([source.name for source in found])
    cameras = {name: CameraSettings(source=spec) for name, spec in zip(names, specs, strict=True)}
    return Site(Configuration(defaults=CameraDefaults(model=model), cameras=cameras))


def _names_of(words: Sequence[str]) -> list[str]:
    """Names of cameras that are like these words, which may be names of files."""
    names: list[str] = []
    for word in words:
        name = re.sub(r"[^a-zA-Z0-9_-]+", "_", word).lstrip("_-")[:_LONGEST] or "camera"
        others = (f"{name}_{number}" for number in itertools.count(2))
        names.append(next(one for one in itertools.chain([name], others) if one not in names))
    return names
