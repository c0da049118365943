"""Parses the `url` of a detector into the addresses of its servers."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

from yolostream.errors import ServerUnavailable

ALL_OF_A_NAME = "dns:///"
"""Prefix of `name:port`: each address that the name resolves to is a server of its own."""


def split(url: str | Sequence[str]) -> tuple[str, ...]:
    """Split a list of addresses, `a:8001,b:8001` or a sequence of such strings.

    Raises:
        ServerUnavailable: the list is empty.
    """
    urls = url.split(",") if isinstance(url, str) else [part for u in url for part in u.split(",")]
    named = tuple(dict.fromkeys(name for one in urls if (name := one.strip())))
    if not named:
        raise ServerUnavailable("no server address was given: give one as host:port")
    return named


def resolve(urls: Sequence[str]) -> list[str]:
    """Resolve the addresses that begin with `dns:///`; the others stay as they are.

    Returns:
        `host:port` of each server, without duplicates.

    Raises:
        ServerUnavailable: a name does not resolve.
    """
    return list(dict.fromkeys(address for url in urls for address in _addresses(url)))


def may_change(urls: Sequence[str]) -> bool:
    """Whether resolving the addresses again may give other servers."""
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
            f"cannot resolve '{host}' in {url} ({error}): write dns:///NAME:PORT"
        ) from error
    for family, *_, (address, *_) in found:
        yield f"[{address}]:{port}" if family == socket.AF_INET6 else f"{address}:{port}"
