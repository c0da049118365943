"""Leases in a folder of a local file system."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import orjson
from pydantic import TypeAdapter, ValidationError

from yolostream.service.leases.store import Conflict, Kind, Record, StoreAway

_RECORD = TypeAdapter(Record)
_SUFFIX = ".json"
_VERSION = re.compile(r"[1-9][0-9]*\.json")
_KINDS: tuple[Kind, ...] = ("camera", "member")


class FolderStore:
    """Stores each record in a folder of its own, as a file named by its version: `gate/7.json`.

    A new version is written to a temporary file and hard-linked to its name, which only one writer
    can do. There is no lock, so an instance that hangs does not block others.

    Args:
        folder: it must exist. All instances must see changes at once, as on a local file system.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def records(self, timeout_s: float) -> dict[tuple[Kind, str], Record]:
        """See `Store`."""
        found: dict[tuple[Kind, str], Record] = {}
        with self._reached():
            # Cameras first: a holder is always created before the leases that name it.
            for kind in _KINDS:
                for folder in _folders(self._folder / kind):
                    if (record := _newest(folder)) is not None:
                        found[kind, record.name] = record
        return found

    def write(self, record: Record, timeout_s: float) -> Record:
        """See `Store`."""
        folder = self._folder / record.kind / record.name
        number = int(record.version or 0) + 1
        with self._reached():
            if not record.version:
                folder.mkdir(parents=True, exist_ok=True)
            _link(folder, number, orjson.dumps(record))
            # Their names become free again, so a late writer may take one: see the check below.
            newest = max(_versions(folder), default=0)
            for version in _versions(folder):
                if version < newest:
                    (folder / f"{version}{_SUFFIX}").unlink(missing_ok=True)
        if newest != number:
            raise Conflict
        return _with_version(record, number)

    def delete(self, record: Record, timeout_s: float) -> None:
        """See `Store`."""
        folder = self._folder / record.kind / record.name
        with self._reached():
            if max(_versions(folder), default=0) != int(record.version):
                raise Conflict
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        # A folder that is created again would begin with fencing number 1 again.
        if not self._folder.is_dir():
            raise StoreAway(f"the folder of the leases, {self._folder}, is gone: restore it")
        try:
            yield
        except OSError as error:
            raise StoreAway(
                f"the leases in {self._folder} cannot be read or written ({error.strerror}): give "
                "all instances write access to it"
            ) from error


def _link(folder: Path, version: int, data: bytes) -> None:
    beside = folder / f".{secrets.token_hex(8)}.new"
    try:
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            # After a power failure, no fencing number may be assigned a second time.
            os.fsync(file.fileno())
        os.link(beside, folder / f"{version}{_SUFFIX}")
    except FileExistsError:
        raise Conflict from None
    except FileNotFoundError:
        if folder.parent.parent.is_dir():
            # The member was deleted.
            raise Conflict from None
        raise
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
            # Only possible if it is empty: a new record could not be written.
            folder.rmdir()
    _sync(folder)


def _sync(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _versions(folder: Path) -> list[int]:
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [int(name.removesuffix(_SUFFIX)) for name in names if _VERSION.fullmatch(name)]


def _newest(folder: Path) -> Record | None:
    """The newest version of a record; None if it was deleted."""
    missing = 0
    while (version := max(_versions(folder), default=0)) > 0:
        path = folder / f"{version}{_SUFFIX}"
        try:
            record = _with_version(_RECORD.validate_json(path.read_bytes()), version)
        except FileNotFoundError:
            # It was replaced since the folder was listed. A link to nowhere is listed again.
            if version == missing:
                raise _not_valid(path) from None
            missing = version
        except ValidationError:
            raise _not_valid(path) from None
        else:
            # The folder may be a copy of another one.
            if (record.kind, record.name) != (folder.parent.name, folder.name):
                raise _not_valid(path)
            return record
    return None


def _not_valid(path: Path) -> StoreAway:
    return StoreAway(f"{path} is not a valid lease: stop all instances and delete the folder")


def _with_version(record: Record, version: int) -> Record:
    return Record(
        record.kind,
        record.name,
        record.holder,
        record.number,
        record.duration_s,
        record.cameras,
        str(version),
    )
