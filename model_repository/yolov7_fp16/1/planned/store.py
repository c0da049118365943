"""Keeps compiled convolutions on disk, so that only the first start has to find them.

There is one ZIP file for each network, kind of GPU, driver and cuDNN. Its members are execution
plans as cuDNN serializes them. They contain code that runs on the GPU, so only files of this user
in a folder of this user are read.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path


def folder() -> Path:
    """Make the folder for this user's files, in the folder for temporary files, if it is missing.

    Raises:
        ValueError: Another user owns the folder or may write to it.
    """
    path = Path(tempfile.gettempdir()) / f"yolostream-convolutions-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not (stat.S_ISDIR(found.st_mode) and _is_private(found)):
        raise ValueError(
            f"{path} could be changed by other users, so compiled code in it is not used: "
            "remove it, or set TMPDIR to a folder of your own"
        )
    return path


def _is_private(found: os.stat_result) -> bool:
    others_may_write = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return found.st_uid == os.getuid() and not others_may_write


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time run the block for a file.

    The processes of a step start together. One of them compiles; the others wait and read its file.
    """
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def read(path: Path) -> dict[str, bytes]:
    """All members of a file, by name; none if it is missing, damaged or not only this user's."""
    try:
        with open(path, "rb", opener=_without_links) as file:
            if not _is_private(os.fstat(file.fileno())):
                return {}
            with zipfile.ZipFile(file) as archive:
                return {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # A damaged file makes zipfile raise many kinds of errors.
        return {}


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def write(path: Path, members: Mapping[str, bytes]) -> None:
    """Replace a file as a whole; if that fails, the old file stays."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                for name, content in members.items():
                    archive.writestr(name, content)
            file.close()
            os.replace(file.name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(file.name)
            raise
