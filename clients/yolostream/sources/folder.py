"""The pictures and videos in a folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from yolostream.errors import SourceError
from yolostream.printable import printable
from yolostream.sources.kinds import PICTURE_SUFFIXES, VIDEO_SUFFIXES

_NAMED_AT_MOST = 5

_log = logging.getLogger(__name__)


def files_in(folder: Path) -> list[Path]:
    """The files whose suffix is that of a picture or a video; other files are logged.

    Raises:
        SourceError: there are none, or the folder cannot be read.
    """
    shown = printable(str(folder))
    try:
        # On foreign file systems, macOS writes a metadata file `._a.mp4` beside each `a.mp4`.
        entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith("._")]
    except OSError as error:
        raise SourceError(
            f"cannot list the folder {shown} ({error.strerror}): check its permissions"
        ) from error
    files = list(filter(_is_picture_or_video, entries))
    others = [path for path in entries if not (_is_picture_or_video(path) or _is_hidden(path))]
    if not files and not others:
        raise SourceError(f"{shown} is an empty folder: put pictures or videos in it")
    if not files:
        raise SourceError(
            f"{shown} has no file with the suffix of a picture or video, only "
            f"{_some_names(others)}: name a file itself to have it tried"
        )
    if others:
        _log.warning(
            "%s: left out, because the suffix is not that of a picture or video: %s; name a file "
            "itself to have it tried",
            shown,
            _some_names(others),
        )
    return files


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _is_picture_or_video(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES | VIDEO_SUFFIXES and not path.is_dir()


def _some_names(paths: Sequence[Path]) -> str:
    shown = [printable(path.name) + "/" * path.is_dir() for path in paths[:_NAMED_AT_MOST]]
    more = len(paths) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
