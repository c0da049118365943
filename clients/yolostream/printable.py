"""Makes text from outside, such as file names, safe to print on a terminal."""

from __future__ import annotations

import unicodedata

_MOVE = ("Cc", "Zl", "Zp")
"""Unicode categories of control characters, line separators and paragraph separators."""
_TURN = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
"""Bidirectional types of the characters that change the writing direction (Unicode Annex 9)."""


def printable(text: str) -> str:
    r"""Escape the characters that control a terminal or change the writing direction.

    Args:
        text: any text. It may have surrogates, which Python uses for bytes that are not UTF-8.

    Returns:
        The text on one line, with such characters as `\n`, `\u202e` etc., and `?` for surrogates.
    """
    return "".join(map(_shown, text)).encode(errors="replace").decode()


def _shown(character: str) -> str:
    category, direction = unicodedata.category(character), unicodedata.bidirectional(character)
    if category not in _MOVE and direction not in _TURN:
        return character
    return character.encode("unicode_escape").decode()
