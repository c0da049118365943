"""Addresses of cameras, streams and files: parsing, naming, and filling in secrets."""

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
    """`spec` with its scheme in lower case if it is an address, else None.

    Spaces are percent-encoded. In a message, redaction would take a space for the end of the
    address, and would leave what follows it readable.
    """
    scheme = scheme_of(spec)
    if scheme not in SCHEMES:
        return None
    return scheme + _SPACE.sub(lambda space: quote(space[0]), spec[len(scheme) :])


def scheme_of(spec: str) -> str | None:
    """The scheme before `://`, in lower case; None if there is none."""
    match = _SCHEME.match(spec)
    return None if match is None else match[1].lower()


def has_host(address: str) -> bool:
    """Whether an address names a host, and its port, if it has one, is valid."""
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def path_of_file_url(spec: str) -> str:
    """The path that a `file://` URL names; any other argument is returned unchanged.

    Raises:
        SourceError: the URL names another machine, or has no absolute path.
    """
    match = _FILE_URL.fullmatch(spec)
    if match is None or (match["host"] is None and match["path"] is None):
        return spec
    if match["host"] not in (None, "", "localhost") or match["path"] is None:
        raise SourceError(
            f"{printable(spec)} names no file of this machine: write file:///absolute/path, or the "
            "path alone"
        )
    return os.fsdecode(unquote_to_bytes(os.fsencode(match["path"])))


def name_of(address: str) -> str:
    """A name for output files: the last part of the path, or the host if that may be secret."""
    _, _, shown = redact_url(address).partition("://")
    host, *path = shown.split("?")[0].rstrip("/").split("/")
    last = path[-1] if path else HIDDEN
    if HIDDEN not in last and "${" not in last:
        return last
    name = re.sub(r":(\d*|\*+)$", "", host).strip("[]").replace(":", "-")
    return name if name and HIDDEN not in name and "${" not in name else "stream"


def completed(address: str, login: Login | None = None) -> str:
    """The address with `${VARIABLES}` replaced from the environment and the login inserted.

    Inserted values are percent-encoded, so a password may contain any character.

    Raises:
        SourceError: a variable is not set or empty, or the password file cannot be read.
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
    """Whether an HTTP address is that of a file, judged by the suffix of its path.

    Any other HTTP address may be an endless stream, such as a camera's MJPEG.

    Args:
        address: an address with any scheme.
        suffixes: file suffixes with their dots, in lower case.
    """
    scheme, _, rest = address.partition("://")
    path = PurePosixPath(re.split("[?#]", rest)[0])
    return scheme in ("http", "https") and path.suffix.lower() in suffixes
