"""Finds files that are shorter than their own container says.

FFmpeg reads such a Matroska, AVI, GIF or PNG file up to its last byte, and reports no error.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_EBML_HEADER, _SEGMENT = 0x1A45DFA3, 0x18538067
_RIFF_UNKNOWN = {0, 0xFFFFFFFF}
"""What recorders write as the size of an AVI, until they close it."""
_RIFF_HEADER_BYTES = 8
_GIF_FLAGS = 10
"""Position of the flags in a GIF's header."""
_GIF_EXTENSION, _GIF_IMAGE = b"!", b","
_PNG_SIGNATURE_BYTES, _PNG_CHECKSUM_BYTES = 8, 4


def is_cut_off(path: Path, format_name: str) -> bool:
    """Whether a file lacks its end for certain.

    Recordings that were never closed do not say their size, and are not reported.

    Args:
        path: what was read; anything but a file is not reported.
        format_name: FFmpeg's name of its container.
    """
    end = _ENDS.get(format_name)
    if end is None or not path.is_file():
        return False
    with path.open("rb") as file:
        return end(file) > os.fstat(file.fileno()).st_size


def _matroska_end(file: BinaryIO) -> int:
    """Position of the end of the segment; 0 if its size is unknown."""
    for expected in (_EBML_HEADER, _SEGMENT):
        element, size = _vint(file, keep_marker=True), _vint(file)
        if element != expected or size is None:
            return 0
        end = file.seek(size, os.SEEK_CUR)
    return end


def _vint(file: BinaryIO, *, keep_marker: bool = False) -> int | None:
    """A number of EBML, whose leading zeros say its length; None if all of its bits are set."""
    first = file.read(1) or b"\0"
    length = 9 - first[0].bit_length()
    bits = 7 * length
    value = int.from_bytes(first + file.read(length - 1)) & (1 << bits + 1) - 1
    if keep_marker:
        return value
    value &= (1 << bits) - 1
    return None if value == (1 << bits) - 1 else value


def _avi_end(file: BinaryIO) -> int:
    """Position of the end of the last RIFF chunk; a file above a gigabyte has several."""
    end = 0
    while (header := file.read(_RIFF_HEADER_BYTES))[:4] == b"RIFF":
        size = int.from_bytes(header[4:], "little")
        if size in _RIFF_UNKNOWN:
            return 0
        # Some programs include the header in the size, so the end may be this much earlier.
        end = file.tell() + size - _RIFF_HEADER_BYTES
        file.seek(size + size % 2, os.SEEK_CUR)
    return end


def _gif_end(file: BinaryIO) -> int:
    """Position of the end of the last block that has begun."""
    file.seek(_GIF_FLAGS)
    _skip_colors(file, _byte(file), before_bytes=2)
    while (kind := file.read(1)) in (_GIF_EXTENSION, _GIF_IMAGE):
        if kind == _GIF_IMAGE:
            file.seek(8, os.SEEK_CUR)
            _skip_colors(file, _byte(file))
        # The label of an extension or the code size of an image; then parts, up to an empty one.
        file.seek(1, os.SEEK_CUR)
        while size := _byte(file):
            file.seek(size, os.SEEK_CUR)
    return file.tell()


def _skip_colors(file: BinaryIO, flags: int, *, before_bytes: int = 0) -> None:
    """Skip the color table, if the flags say that there is one."""
    table_bytes = 3 << (flags & 7) + 1 if flags & 0x80 else 0
    file.seek(before_bytes + table_bytes, os.SEEK_CUR)


def _byte(file: BinaryIO) -> int:
    """The next byte. At the end of the file it is 0, and the position is then behind the end."""
    if byte := file.read(1):
        return byte[0]
    file.seek(1, os.SEEK_CUR)
    return 0


def _png_end(file: BinaryIO) -> int:
    """Position of the end of the last chunk that has begun, or behind it if IEND is missing."""
    file.seek(_PNG_SIGNATURE_BYTES)
    while header := file.read(8):
        if header[4:] == b"IEND":
            return file.tell()
        file.seek(int.from_bytes(header[:4]) + _PNG_CHECKSUM_BYTES, os.SEEK_CUR)
    return file.tell() + 1


_ENDS: dict[str, Callable[[BinaryIO], int]] = {
    "matroska,webm": _matroska_end,
    "avi": _avi_end,
    "gif": _gif_end,
    "apng": _png_end,
}
"""By FFmpeg's name of the container: the position up to which a file has to reach."""
