"""Names of files, for people to read: they may have any character in them."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    r"""A text on one line, in which no character moves the cursor or changes a terminal's colors.

    Args:
        text: also one with the stand-ins that Python has for bytes that are no UTF-8.

    Returns:
        The text with `\n` and the like for control characters, and `?` for such bytes.
    """
    return "".join(map(_shown, text)).encode(errors="replace").decode()


def _shown(character: str) -> str:
    if unicodedata.category(character) != "Cc":
        return character
    return character.encode("unicode_escape").decode()
