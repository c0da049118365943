"""The changes of cameras that were made over the API, and the file that keeps them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from yolostream.errors import ServiceError
from yolostream.service.settings import CameraName, CameraSettings

_HEADER = """\
# Changes of cameras that were made over the API of yolostream. A camera that is null was removed.
# The service writes this file: to change a camera, edit cameras.yaml. A change here applies until
# the camera's settings in cameras.yaml differ from those at the time of the change. `instead_of`
# has the digests of those settings.
"""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    cameras: dict[CameraName, CameraSettings | None] = {}
    instead_of: dict[CameraName, str] = {}


class RuntimeChange(BaseModel):
    """A change of one camera over the API."""

    model_config = ConfigDict(frozen=True)

    settings: CameraSettings | None
    """The new settings; None if the camera was removed."""
    instead_of: str
    """`_digest` of the camera's settings in cameras.yaml at the time of the change."""


def changed(
    changes: Mapping[str, RuntimeChange],
    name: str,
    settings: CameraSettings | None,
    of_file: CameraSettings | None,
) -> dict[str, RuntimeChange]:
    """Add a change to others.

    Args:
        changes: the former changes, by camera.
        name: name of the camera that is changed.
        settings: its new settings; None removes it.
        of_file: its settings in cameras.yaml; None if the camera is not there.

    Returns:
        All changes, by camera.
    """
    others = {key: one for key, one in changes.items() if key != name}
    # Digests also differ if one of the settings spells out a default: the default may change.
    if _digest(settings) == _digest(of_file):
        return others
    return others | {name: RuntimeChange(settings=settings, instead_of=_digest(of_file))}


def still_valid(
    changes: Mapping[str, RuntimeChange], of_file: Mapping[str, CameraSettings]
) -> dict[str, RuntimeChange]:
    """The changes of cameras whose settings in cameras.yaml are the same as then."""
    return {
        name: change
        for name, change in changes.items()
        if change.instead_of == _digest(of_file.get(name))
    }


class RuntimeStore:
    """The file that keeps changes made over the API. It may contain passwords.

    Args:
        path: path of the file, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, RuntimeChange]:
        """Read the changes, by camera.

        Raises:
            ServiceError: the file cannot be read or is not valid.
        """
        try:
            file = _File.model_validate(yaml.safe_load(self._path.read_text()) or {})
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, yaml.YAMLError) as error:
            # Pydantic's own message would show values, such as passwords.
            wrong = (
                ", ".join(".".join(map(str, one["loc"])) for one in error.errors())
                if isinstance(error, ValidationError)
                else type(error).__name__
            )
            raise ServiceError(
                f"the changes made over the API cannot be read from {self._path} ({wrong}): repair "
                "the file, or move it away to use only the configuration"
            ) from None
        return {
            name: RuntimeChange(settings=settings, instead_of=file.instead_of.get(name, ""))
            for name, settings in file.cameras.items()
        }

    def save(self, changes: Mapping[str, RuntimeChange]) -> None:
        """Replace the file. If that fails, the file stays as it was.

        Raises:
            ServiceError: the file cannot be written.
        """
        file = {
            "cameras": {
                name: None if change.settings is None else change.settings.revealed()
                for name, change in changes.items()
            },
            "instead_of": {name: change.instead_of for name, change in changes.items()},
        }
        beside = self._path.with_name(f".{self._path.name}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            beside.unlink(missing_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "w") as new:
                new.write(_HEADER + yaml.safe_dump(file, sort_keys=False, allow_unicode=True))
                new.flush()
                os.fsync(descriptor)
            beside.replace(self._path)
        except OSError as error:
            raise ServiceError(
                f"the change was not made, because it cannot be saved in {self._path} "
                f"({error.strerror}): allow the service to write there, or set `state` to another "
                "folder"
            ) from error


def _digest(settings: CameraSettings | None) -> str:
    """A digest of all settings that are set explicitly; empty for None."""
    if settings is None:
        return ""
    return hashlib.sha256(json.dumps(settings.revealed(), sort_keys=True).encode()).hexdigest()
