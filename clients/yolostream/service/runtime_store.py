"""What was changed over the API, how long it counts, and its file."""

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
# What was changed over the API of yolostream. The service writes this file: change cameras.yaml
# instead. A camera here, or one that is null, which was removed, counts until cameras.yaml says
# something else of it than it did when it was changed (its digest is below, in `instead_of`).
"""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    cameras: dict[CameraName, CameraSettings | None] = {}
    instead_of: dict[CameraName, str] = {}


class RuntimeChange(BaseModel):
    """What the API made of one camera."""

    model_config = ConfigDict(frozen=True)

    settings: CameraSettings | None
    """None where it was removed."""
    instead_of: str
    """`_digest` of what cameras.yaml said of it then."""


def changed(
    changes: Mapping[str, RuntimeChange],
    name: str,
    settings: CameraSettings | None,
    of_file: CameraSettings | None,
) -> dict[str, RuntimeChange]:
    """The changes, with one more.

    Args:
        changes: until now, by camera.
        name: of the camera that is changed.
        settings: what the API makes of it; None removes it.
        of_file: what cameras.yaml says of it; None where it does not have it.
    """
    others = {key: one for key, one in changes.items() if key != name}
    # What equals a default says more than one that is left out: the defaults may change.
    if _digest(settings) == _digest(of_file):
        return others
    return others | {name: RuntimeChange(settings=settings, instead_of=_digest(of_file))}


def still_valid(
    changes: Mapping[str, RuntimeChange], of_file: Mapping[str, CameraSettings]
) -> dict[str, RuntimeChange]:
    """The changes of cameras of which the file says what it said then."""
    return {
        name: change
        for name, change in changes.items()
        if change.instead_of == _digest(of_file.get(name))
    }


class RuntimeStore:
    """A file with what was changed over the API, which may have passwords in it.

    Args:
        path: of the file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, RuntimeChange]:
        """What was changed, by camera.

        Raises:
            ServiceError: the file is broken.
        """
        try:
            file = _File.model_validate(yaml.safe_load(self._path.read_text()) or {})
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, yaml.YAMLError) as error:
            # Of a value, pydantic would show too much.
            wrong = (
                ", ".join(".".join(map(str, one["loc"])) for one in error.errors())
                if isinstance(error, ValidationError)
                else type(error).__name__
            )
            raise ServiceError(
                f"{self._path}, what was changed over the API, cannot be read ({wrong}): mend it, "
                "or move it away, and the cameras are those of the configuration"
            ) from None
        return {
            name: RuntimeChange(settings=settings, instead_of=file.instead_of.get(name, ""))
            for name, settings in file.cameras.items()
        }

    def save(self, changes: Mapping[str, RuntimeChange]) -> None:
        """Write all of them, or leave the file as it was.

        Raises:
            ServiceError: the folder cannot be written.
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
                f"the change cannot be kept in {self._path} ({error.strerror}), so it was not "
                "made: let the service write there, or name another folder as `state`"
            ) from error


def _digest(settings: CameraSettings | None) -> str:
    """Differs where settings do; empty where there are none."""
    if settings is None:
        return ""
    return hashlib.sha256(json.dumps(settings.revealed(), sort_keys=True).encode()).hexdigest()
