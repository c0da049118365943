"""Checks that a path is a regular file, before it is read or replaced."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def refuse_special_file(path: Path) -> None:
    """Raise an error if a path exists and is not a regular file.

    Moving a file to `/dev/null` would replace the device for all programs of the machine. Reading a
    pipe may block, and reading a device may never end.

    Args:
        path: path of the file, which need not exist. Symbolic links are followed.

    Raises:
        OSError: the path is not a regular file, or cannot be examined.
    """
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return
    if kind != stat.S_IFREG:
        raise OSError(errno.EINVAL, f"it is {_KINDS.get(kind, 'not a regular file')}", str(path))
