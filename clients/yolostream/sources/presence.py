"""Whether a camera can be reached, without opening it."""

from __future__ import annotations

import contextlib
import socket
from enum import IntEnum
from urllib.parse import urlsplit

_TCP_PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}
# Requests that need no password and make the camera do nothing. They contain no secret.
_QUESTIONS = {
    "rtsp": b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: yolostream\r\n\r\n",
    "http": b"HEAD / HTTP/1.0\r\nUser-Agent: yolostream\r\n\r\n",
}
_CONNECT_S = 1.0
_ANSWER_S = 0.5


class Presence(IntEnum):
    """Whether a source can be reached; a higher value is closer to working."""

    ABSENT = 0
    """Its address accepts no connection, or its device is not plugged in."""
    SILENT = 1
    """It accepts connections, but does not answer a request."""
    ANSWERS = 2
    """It answers a request, or opening it is the only way to find out."""


def presence_at(address: str) -> Presence:
    """The presence at an address that includes its secrets.

    It takes 1.5 s at most, plus the time to resolve the host's name.
    """
    with contextlib.suppress(ValueError):
        parts = urlsplit(address)
        if parts.hostname and parts.scheme in _TCP_PORTS:
            port = parts.port or _TCP_PORTS[parts.scheme]
            return _ask(parts.hostname, port, _QUESTIONS.get(parts.scheme))
    return Presence.ANSWERS


def _ask(host: str, port: int, question: bytes | None) -> Presence:
    presence = Presence.ABSENT
    with (
        contextlib.suppress(OSError),
        socket.create_connection((host, port), _CONNECT_S) as connection,
    ):
        if question is None:
            return Presence.ANSWERS
        presence = Presence.SILENT
        connection.settimeout(_ANSWER_S)
        connection.sendall(question)
        if connection.recv(1):
            presence = Presence.ANSWERS
    return presence
