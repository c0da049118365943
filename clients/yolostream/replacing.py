"""Files that can be read whole, and that a new one of the same name may replace."""

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
    """Let only a regular file, or nothing, be where a file is read, or is to be moved to.

    Moving a file to `/dev/null` puts it in the device's place, for all programs of the machine.
    Reading a pipe waits for who writes into it, and a device may have no end.

    Args:
        path: Where the file is, or is to be. A link stands for what it leads to.

    Raises:
        OSError: Something else is there, or it cannot be told.
    """
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return
    if kind != stat.S_IFREG:
        raise OSError(errno.EINVAL, f"it is {_KINDS.get(kind, 'no regular file')}", str(path))
