"""Removes credentials from addresses and from texts with addresses.

Every address that this package prints, logs or writes is redacted here. Only parts that are known
to be harmless are shown, because each maker of cameras has other names for passwords.
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
# A host name, an IPv6 address in brackets, or a variable (`${HOST}`); then a port.
_HOST = re.compile(r"(?P<name>\[[^\]]*\]?|[\w.*${}-]*)(:(\d*|\*\*\*))?")
_HARMLESS = re.compile(
    r"(channel|chn|ch|subtype|stream|streamtype|real_stream|profile|resolution|fps|transport"
    r"|transportmode|proto|unicast|multicast|trackid)(=(\d{0,4}(\.sdp)?|main|sub|tcp|udp|unicast))?",
    re.IGNORECASE,
)


def redact_url(url: str) -> str:
    """An address without anything that may be a user, a password or a token.

    User and password are removed. If an `@` comes after the host's end (`/`, `?`, `#`, `&` or `;`),
    it may belong to a password that was not percent-encoded, so only the scheme is shown. In a
    query, and in a path like `/user=me&password=secret`, only known parameters that select a stream
    are shown. Ordinary parts of a path are shown. So a secret in the path has to be a variable
    (`${KEY}`).

    Args:
        url: an address, with or without a scheme.
    """
    scheme = found[0] if (found := _SCHEME.match(url)) else ""
    authority, *parts = re.split(r"([/?#&;])", url[len(scheme) :])
    if any("@" in part for part in parts):
        return scheme + HIDDEN
    host = authority.rpartition("@")[2]
    matched = _HOST.fullmatch(host)
    if matched is None:
        # What follows the colon is not a port. It may be the begin of a password with a slash.
        name = _HOST.match(host)
        return f"{scheme}{name['name'] if name else ''}:{HIDDEN}"
    return scheme + host + _redact_parts(list(zip(parts[::2], parts[1::2], strict=True)))


def redact_argument(word: str) -> str:
    """Redact a command-line argument, which may be a path, or an address without a scheme."""
    return redact_url(word) if _MAYBE_URL.search(word) else word


def redact(text: str) -> str:
    """A text without the credentials in its addresses."""

    def redacted(found: re.Match[str]) -> str:
        url = found[0]
        end = _END_OF_CLAUSE.search(url)
        stop = end.start() if end else len(url)
        return redact_url(url[:stop]) + url[stop:]

    return _URL.sub(redacted, text)


@contextlib.contextmanager
def print_traceback() -> Iterator[None]:
    """Print a redacted traceback if the block raises an error, and end the process with code 1.

    Errors that end other threads are printed in the same way, also after the block.
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
    """Redact the path and query of an address, given as pairs of separator and part."""
    shown = ""
    is_query = was_hidden = False
    for separator, part in parts:
        is_query = is_query or separator in "?#"
        # After a hidden value, a part without a name may be the rest of that value.
        is_parameter = is_query or was_hidden or re.search("[=:@]", unquote(part)) is not None
        hide = bool(part) and is_parameter and _HARMLESS.fullmatch(part) is None
        if hide and was_hidden:
            continue
        shown += separator + (HIDDEN if hide else part)
        was_hidden = hide
    return shown
