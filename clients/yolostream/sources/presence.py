"""How much of a camera is there, as far as can be told without opening it."""

from __future__ import annotations

import contextlib
import socket
from enum import IntEnum
from urllib.parse import urlsplit

_TCP_PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}
# What needs no password and costs nothing; neither has anything secret in it.
_QUESTIONS = {
    "rtsp": b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: yolostream\r\n\r\n",
    "http": b"HEAD / HTTP/1.0\r\nUser-Agent: yolostream\r\n\r\n",
}
_CONNECT_S = 1.0
_ANSWER_S = 0.5


class Presence(IntEnum):
    """The more of a source is there, the higher."""

    ABSENT = 0
    """Nothing takes connections at its address, or the device is not plugged in."""
    SILENT = 1
    """Connections are taken, and no question is answered."""
    ANSWERS = 2
    """It answers, or nobody can tell without opening it."""


def presence_at(address: str) -> Presence:
    """What is at a complete address. Takes 1.5 s, unless no server resolves its name."""
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
