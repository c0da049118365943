"""The addresses that a `url` stands for."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

from yolostream.errors import ServerUnavailable

ALL_OF_A_NAME = "dns:///"
"""Before `name:port`: every address that the name has now, each a server of its own."""


def split(url: str | Sequence[str]) -> tuple[str, ...]:
    """Split what the caller gave, `a:8001,b:8001` or a sequence of such.

    Raises:
        ServerUnavailable: that is none at all.
    """
    urls = url.split(",") if isinstance(url, str) else [part for u in url for part in u.split(",")]
    named = tuple(dict.fromkeys(name for one in urls if (name := one.strip())))
    if not named:
        raise ServerUnavailable("no address of a server was given: name one, as host:port")
    return named


def resolve(urls: Sequence[str]) -> list[str]:
    """Look up the names that stand for several servers; the others stay as they are.

    Returns:
        `host:port` each, without doubles.

    Raises:
        ServerUnavailable: a name has no address.
    """
    return list(dict.fromkeys(address for url in urls for address in _addresses(url)))


def may_change(urls: Sequence[str]) -> bool:
    """Whether another look-up may find other servers."""
    return any(url.startswith(ALL_OF_A_NAME) for url in urls)


def _addresses(url: str) -> Iterator[str]:
    if not url.startswith(ALL_OF_A_NAME):
        yield url
        return
    host, _, port = url.removeprefix(ALL_OF_A_NAME).rpartition(":")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ServerUnavailable(
            f"'{host}' in {url} has no address ({error}): write dns:///NAME:PORT"
        ) from error
    for family, *_, (address, *_) in found:
        yield f"[{address}]:{port}" if family == socket.AF_INET6 else f"{address}:{port}"
