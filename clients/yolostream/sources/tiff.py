"""Finds the pages of a TIFF in its directories.

OpenCV would count thumbnails too, and Pillow opens only the pixel formats that it can decode.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_SUFFIXES = (".tif", ".tiff")
# First four bytes -> byte order, and whether it is a BigTIFF.
_BEGINNINGS = {
    b"II*\0": ("<", False),
    b"MM\0*": (">", False),
    b"II+\0": ("<", True),
    b"MM\0+": (">", True),
}
_NEW_SUBFILE_TYPE, _IS_SMALLER, _IS_MASK = 254, 0b1, 0b100


def pages_of(path: Path) -> list[int]:
    """The indices of a TIFF's pages; [0] for any other file.

    Thumbnails and masks are left out (TIFF 6.0, NewSubfileType). If the file is truncated, the
    missing page is included, so that reading it reports the error.
    """
    if path.suffix.lower() in _SUFFIXES and path.is_file():
        with contextlib.suppress(OSError), path.open("rb") as file:
            return list(_pages_in(file)) or [0]
    return [0]


def _pages_in(file: BinaryIO) -> Iterator[int]:
    order, is_big = _BEGINNINGS.get(file.read(4), ("<", False))
    place_format, count_format, entry_bytes = ("Q", "Q", 20) if is_big else ("I", "H", 12)

    def number(format: str, at: int) -> int:
        file.seek(at)
        (value,) = struct.unpack(order + format, file.read(struct.calcsize(order + format)))
        return int(value)

    page = 0
    seen = {0}
    try:
        place = number(place_format, 8 if is_big else 4)
        # In a damaged file, the directories may form a loop.
        while place not in seen:
            seen.add(place)
            first = place + struct.calcsize(order + count_format)
            entries = range(first, first + entry_bytes * number(count_format, place), entry_bytes)
            kinds = (
                number("I", entry + entry_bytes - struct.calcsize(order + place_format))
                for entry in entries
                if number("H", entry) == _NEW_SUBFILE_TYPE
            )
            if not next(kinds, 0) & (_IS_SMALLER | _IS_MASK):
                yield page
            page += 1
            place = number(place_format, entries.stop)
    except (struct.error, OSError, OverflowError):
        yield page
