"""Unique names of sources that are also valid names of files."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace

from yolostream.printable import printable
from yolostream.sources.source import Source

FILE_NAME_BYTES = 255
"""Longest file name on Linux's file systems."""

NAME_BYTES = 230
"""Longest name of a source. Outputs add to it: the longest addition is that of a camera's MP4
while it is being finished, `.NAME.123.mp4.finishing`."""

OUTPUT_SUFFIXES = (".mp4", ".jsonl", ".csv", ".txt")
"""Suffixes of outputs. A source's name ends in none of them. Otherwise its output would have the
suffix twice, or the same name as the output of another source."""

_JOINER = "\u200d"
"""Zero-width joiner: joins the characters on both sides into one, as in emoji of families."""


def with_unique_names(sources: Iterable[Source], taken: set[str]) -> Iterator[Source]:
    """Give every source a unique name that is valid for its files.

    Args:
        sources: sources whose names may be equal or too long.
        taken: names that no source may have; the new names are added.
    """
    for source in sources:
        name = _without_output_suffix(printable(source.name)) or "unnamed"
        free = shortened(name, NAME_BYTES)
        number = 1
        while free in taken:
            number += 1
            free = shortened(name, NAME_BYTES, f"_{number}")
        taken.add(free)
        yield replace(source, name=free)  # type: ignore[type-var]  # all are dataclasses


def shortened(name: str, most: int, end: str = "") -> str:
    """`name` and `end` together, with `name` shortened so that they have at most `most` bytes.

    `name` is cut between characters; a letter is not separated from its accents.
    """
    cut = name
    while cut and (len(os.fsencode(cut + end)) > most or _splits_character(cut, name)):
        cut = cut[:-1]
    return cut + end


def _splits_character(cut: str, name: str) -> bool:
    after = name[len(cut) : len(cut) + 1]
    is_mark = after != "" and unicodedata.category(after).startswith("M")
    return is_mark or (after != "" and _JOINER in (cut[-1], after))


def _without_output_suffix(name: str) -> str:
    for suffix in OUTPUT_SUFFIXES:
        if name.lower().endswith(suffix):
            return _without_output_suffix(name[: -len(suffix)])
    return name
