"""Addresses of cameras, streams and files: how one is told, named, and completed with secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import PurePosixPath
from urllib.parse import quote, unquote_to_bytes, urlsplit

from yolostream.errors import SourceError
from yolostream.printable import printable
from yolostream.redaction import HIDDEN, redact_url
from yolostream.sources.login import Login

SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "srt", "udp", "rtp")
_SPACE = re.compile(r"\s")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_FILE_URL = re.compile(r"file:(?://(?P<host>[^/]*))?(?P<path>/.*)?", re.IGNORECASE | re.DOTALL)
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def address_in(spec: str) -> str | None:
    """The address that `spec` is, with its scheme in lower case; None where it is none.

    Spaces are percent-encoded: in a sentence, they would end the address, and show what follows.
    """
    scheme = scheme_of(spec)
    if scheme not in SCHEMES:
        return None
    return scheme + _SPACE.sub(lambda space: quote(space[0]), spec[len(scheme) :])


def scheme_of(spec: str) -> str | None:
    """What is before `://`, in lower case; None where there is nothing of that kind."""
    match = _SCHEME.match(spec)
    return None if match is None else match[1].lower()


def has_host(address: str) -> bool:
    """Whether an address names a host, and no port that cannot be."""
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def path_of_file_url(spec: str) -> str:
    """The path that a `file://` URL names; any other word stays as it is.

    Raises:
        SourceError: the URL is of another machine, or of no whole path.
    """
    match = _FILE_URL.fullmatch(spec)
    if match is None or (match["host"] is None and match["path"] is None):
        return spec
    if match["host"] not in (None, "", "localhost") or match["path"] is None:
        raise SourceError(
            f"{printable(spec)} names no file of this machine: write file:///whole/path, or the "
            "path alone"
        )
    return os.fsdecode(unquote_to_bytes(os.fsencode(match["path"])))


def name_of(address: str) -> str:
    """A name for files: the last part of the path, or the host if that part may be secret."""
    _, _, shown = redact_url(address).partition("://")
    host, *path = shown.split("?")[0].rstrip("/").split("/")
    last = path[-1] if path else HIDDEN
    if HIDDEN not in last and "${" not in last:
        return last
    name = re.sub(r":(\d*|\*+)$", "", host).strip("[]").replace(":", "-")
    return name if name and HIDDEN not in name and "${" not in name else "stream"


def completed(address: str, login: Login | None = None) -> str:
    """The address with the environment's values in place of its `${VARIABLES}`, and the login.

    They are percent-encoded, so that a password may have any character in it.

    Raises:
        SourceError: a variable is not set, or empty; or the password's file cannot be read.
    """

    def value(found: re.Match[str]) -> str:
        if not (text := os.environ.get(found[1])):
            raise SourceError(
                f"{redact_url(address)} needs the environment variable {found[1]}, which is not "
                "set: export it"
            )
        return text

    whole = _VARIABLE.sub(lambda found: quote(value(found), safe=""), address)
    if login is None:
        return whole
    password = login.secret()
    if login.password_file is None:
        password = _VARIABLE.sub(value, password)
    username = _VARIABLE.sub(value, login.username)
    scheme, _, rest = whole.partition("://")
    return f"{scheme}://{quote(username, safe='')}:{quote(password, safe='')}@{rest}"


def is_of_a_file(address: str, suffixes: Collection[str]) -> bool:
    """Whether an address is that of a file on a web server, whose path ends like one.

    Anything else at a web server may have no end, as a camera's MJPEG has none.

    Args:
        address: of any scheme.
        suffixes: of files, with their dots, in lower case.
    """
    scheme, _, rest = address.partition("://")
    path = PurePosixPath(re.split("[?#]", rest)[0])
    return scheme in ("http", "https") and path.suffix.lower() in suffixes
