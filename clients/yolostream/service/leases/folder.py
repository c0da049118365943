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

from yolostream.service.leases.store import Conflict, Kind, Record, StoreUnavailable

_RECORD = TypeAdapter(Record)
_SUFFIX = ".json"
_VERSION = re.compile(r"[1-9][0-9]*\.json")
_KINDS: tuple[Kind, ...] = ("camera", "member")


class FolderStore:
    """Stores each record in a folder of its own, as a file named by its version: `gate/7.json`.

    A new version is written to a temporary file and hard-linked to its name, which only one writer
    can do. There is no lock, so an instance that hangs does not block others.

    Args:
        folder: an existing folder, whose changes all instances see at once. That is so on local
            file systems.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def records(self, timeout_s: float) -> dict[tuple[Kind, str], Record]:
        """See `Store`."""
        found: dict[tuple[Kind, str], Record] = {}
        with self._translated_errors():
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
        with self._translated_errors():
            if not record.version:
                folder.mkdir(parents=True, exist_ok=True)
            _link(folder, number, orjson.dumps(record))
            # A late writer may link an old version again once its name is free: see below.
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
        with self._translated_errors():
            if max(_versions(folder), default=0) != int(record.version):
                raise Conflict
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        # It is not created again, because its fencing numbers would begin with 1 again.
        if not self._folder.is_dir():
            raise StoreUnavailable(f"the folder of the leases, {self._folder}, is gone: restore it")
        try:
            yield
        except OSError as error:
            raise StoreUnavailable(
                f"the leases in {self._folder} cannot be read or written ({error.strerror}): give "
                "all instances write access to it"
            ) from error


def _link(folder: Path, version: int, data: bytes) -> None:
    temporary = folder / f".{secrets.token_hex(8)}.new"
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            # Otherwise, a power failure could undo it, and a fencing number could be used twice.
            os.fsync(file.fileno())
        os.link(temporary, folder / f"{version}{_SUFFIX}")
    except FileExistsError:
        raise Conflict from None
    except FileNotFoundError:
        if folder.parent.parent.is_dir():
            # The folder of the record is gone: the member was deleted.
            raise Conflict from None
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
            # This succeeds only if the folder is empty, because the first version was not written.
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
            # A newer version has replaced it. Only a broken link is listed a second time.
            if version == missing:
                raise _not_valid(path) from None
            missing = version
        except ValidationError:
            raise _not_valid(path) from None
        else:
            # Somebody may have copied the folder of another record.
            if (record.kind, record.name) != (folder.parent.name, folder.name):
                raise _not_valid(path)
            return record
    return None


def _not_valid(path: Path) -> StoreUnavailable:
    return StoreUnavailable(
        f"{path} is not a valid lease: stop all instances, and delete the folder"
    )


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
