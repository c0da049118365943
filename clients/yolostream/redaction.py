"""Takes credentials out of addresses, and out of words that addresses are in.

Everything that this package says, names or writes about an address goes through here. What is not
known to be harmless is hidden: a camera's maker calls a password as he likes.
"""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from urllib.parse import unquote

HIDDEN = "***"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_URL = re.compile(_SCHEME.pattern + r"\S*")
_MAYBE_URL = re.compile(r"://|@|&|[?;][^=/]*=")
_END_OF_CLAUSE = re.compile(r"[:.,;)'\"]*$")
# A name, or an address of IPv6 in brackets; or a variable that stands for it.
_HOST = re.compile(r"(?P<name>\[[^\]]*\]?|[\w.*${}-]*)(:(\d*|\*\*\*))?")
_HARMLESS = re.compile(
    r"(channel|chn|ch|subtype|stream|streamtype|real_stream|profile|resolution|fps|transport"
    r"|transportmode|proto|unicast|multicast|trackid)(=(\d{0,4}(\.sdp)?|main|sub|tcp|udp|unicast))?",
    re.IGNORECASE,
)


def redact_url(url: str) -> str:
    """An address without what may be a user, a password or a token.

    User and password are left out. Where an `@` comes after a slash, a question mark or the like,
    nobody knows whether it ends a password that was not encoded, or is part of another: nothing is
    shown. Of a query, and of a path like `/user=me&password=secret`, only parameters that tell
    which picture is wanted are shown. Ordinary parts of a path are shown, so a secret that is one
    of them has to be a variable (`${KEY}`).

    Args:
        url: an address, also one whose scheme was forgotten.
    """
    scheme = found[0] if (found := _SCHEME.match(url)) else ""
    authority, *parts = re.split(r"([/?#&;])", url[len(scheme) :])
    if any("@" in part for part in parts):
        return scheme + HIDDEN
    host = authority.rpartition("@")[2]
    matched = _HOST.fullmatch(host)
    if matched is None:
        # No port: it may be a password, which may have a slash in it.
        name = _HOST.match(host)
        return f"{scheme}{name['name'] if name else ''}:{HIDDEN}"
    return scheme + host + _redact_parts(list(zip(parts[::2], parts[1::2], strict=True)))


def redact_argument(word: str) -> str:
    """What somebody typed, which may be a path, or an address whose scheme was forgotten."""
    return redact_url(word) if _MAYBE_URL.search(word) else word


def redact(text: str) -> str:
    """A text without the credentials of the addresses in it."""

    def redacted(found: re.Match[str]) -> str:
        url = found[0]
        end = _END_OF_CLAUSE.search(url)
        stop = end.start() if end else len(url)
        return redact_url(url[:stop]) + url[stop:]

    return _URL.sub(redacted, text)


@contextlib.contextmanager
def print_traceback() -> Iterator[None]:
    """End the process with a traceback, as Python does, for an error that leaves the block.

    An error that ends another thread is printed in the same way from now on.
    """
    threading.excepthook = lambda thread: _print(thread.exc_value)
    try:
        yield
    except Exception as error:
        _print(error)
        sys.exit(1)


def _print(error: BaseException | None) -> None:
    sys.stderr.write(redact("".join(traceback.format_exception(error))))


def _redact_parts(parts: list[tuple[str, str]]) -> str:
    """The path and query of an address, each part with the separator before it."""
    shown = ""
    is_query = was_hidden = False
    for separator, part in parts:
        is_query = is_query or separator in "?#"
        # What follows a value without a name of its own may be the rest of that value.
        is_parameter = is_query or was_hidden or re.search("[=:@]", unquote(part)) is not None
        hide = bool(part) and is_parameter and _HARMLESS.fullmatch(part) is None
        if hide and was_hidden:
            continue
        shown += separator + (HIDDEN if hide else part)
        was_hidden = hide
    return shown
