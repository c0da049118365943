"""Names of sources, which become names of files: each fits, and none comes twice."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace

from yolostream.printable import printable
from yolostream.sources.source import Source

FILE_NAME_BYTES = 255
"""Of the longest name that Linux's file systems take."""

NAME_BYTES = 230
"""Of the longest name that a source gets. Outputs add to it: the longest addition is that of a
camera's MP4 while it is finished, `.NAME.123.mp4.finishing`."""

OUTPUT_SUFFIXES = (".mp4", ".jsonl", ".csv", ".txt")
"""What outputs end in, so no name does: it would be there twice, or take another's file."""

_JOINER = "\u200d"
"""Makes one character of two, such as a family of its members."""


def named_apart(sources: Iterable[Source], taken: set[str]) -> Iterator[Source]:
    """Give every source a name of its own that its files can have.

    Args:
        sources: some may have the same name, or one that is too long.
        taken: names that no source may have.
    """
    for source in sources:
        name = _without_output_suffix(printable(source.name)) or "unnamed"
        free = fitted(name, NAME_BYTES)
        number = 1
        while free in taken:
            number += 1
            free = fitted(name, NAME_BYTES, f"_{number}")
        taken.add(free)
        yield replace(source, name=free)  # type: ignore[type-var]  # all are dataclasses


def fitted(name: str, most: int, end: str = "") -> str:
    """`name` and `end`, with as much of `name` as leaves `most` bytes at most.

    It is cut between characters, and a letter keeps its accents.
    """
    cut = name
    while cut and (len(os.fsencode(cut + end)) > most or _is_torn(cut, name)):
        cut = cut[:-1]
    return cut + end


def _is_torn(cut: str, name: str) -> bool:
    after = name[len(cut) : len(cut) + 1]
    is_mark = after != "" and unicodedata.category(after).startswith("M")
    return is_mark or (after != "" and _JOINER in (cut[-1], after))


def _without_output_suffix(name: str) -> str:
    for suffix in OUTPUT_SUFFIXES:
        if name.lower().endswith(suffix):
            return _without_output_suffix(name[: -len(suffix)])
    return name
