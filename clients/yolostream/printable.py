"""Names of files, for people to read: they may have any character in them."""

from __future__ import annotations

import unicodedata

_MOVE = ("Cc", "Zl", "Zp")
"""Categories of control characters, and of those that begin a new line or paragraph."""
_TURN = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
"""Kinds of characters that turn the direction of all that follow (Unicode Standard Annex 9)."""


def printable(text: str) -> str:
    r"""A text on one line, in which no character moves the cursor or changes a terminal's colors.

    Nor does one turn the direction of writing, so that what comes after it reads backwards.

    Args:
        text: also one with the stand-ins that Python has for bytes that are no UTF-8.

    Returns:
        The text with `\n`, `\u202e` and the like for such characters, and `?` for such bytes.
    """
    return "".join(map(_shown, text)).encode(errors="replace").decode()


def _shown(character: str) -> str:
    category, direction = unicodedata.category(character), unicodedata.bidirectional(character)
    if category not in _MOVE and direction not in _TURN:
        return character
    return character.encode("unicode_escape").decode()
