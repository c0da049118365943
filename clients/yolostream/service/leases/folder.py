"""Leases in a folder that all instances share."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import orjson
from pydantic import TypeAdapter, ValidationError

from yolostream.service.leases.store import Conflict, Kind, Record, StoreAway

_RECORD = TypeAdapter(Record)
_SUFFIX = ".json"
_KINDS: tuple[Kind, ...] = ("camera", "member")


class FolderStore:
    """A folder for each record, with a file for its version: `camera/gate/7.json`.

    A version is written beside, and linked to its name, which only one can do. No lock is held: an
    instance that stops in the midst of it keeps nobody waiting.

    Args:
        folder: made where it is missing. It has to show the same to all at once, as file systems of
            one machine do.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def records(self, timeout_s: float) -> dict[tuple[Kind, str], Record]:
        """See `Store`."""
        found: dict[tuple[Kind, str], Record] = {}
        with self._reached():
            self._folder.mkdir(parents=True, exist_ok=True)
            # Cameras first: whoever took one was a member before.
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
            # Versions below the newest are removed, so that their names are free again.
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
        try:
            yield
        except OSError as error:
            raise StoreAway(
                f"the leases in {self._folder} cannot be read or written ({error.strerror}): see "
                "that all instances may write there"
            ) from error


def _link(folder: Path, version: int, data: bytes) -> None:
    beside = folder / f".{secrets.token_hex(8)}.new"
    try:
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            # A number that was given out may not be given out again after a power cut.
            os.fsync(file.fileno())
        os.link(beside, folder / f"{version}{_SUFFIX}")
    except FileExistsError:
        raise Conflict from None
    except FileNotFoundError:
        if folder.parent.parent.is_dir():
            # It was deleted.
            raise Conflict from None
        raise
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
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
    stems = [name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)]
    return [int(stem) for stem in stems if stem.isdecimal()]


def _newest(folder: Path) -> Record | None:
    """None where it was deleted."""
    while (version := max(_versions(folder), default=0)) > 0:
        path = folder / f"{version}{_SUFFIX}"
        try:
            return _with_version(_RECORD.validate_json(path.read_bytes()), version)
        except FileNotFoundError:
            # There is a newer one.
            continue
        except ValidationError:
            raise StoreAway(
                f"{path} is no lease: move the folder away while no instance runs"
            ) from None
    return None


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
