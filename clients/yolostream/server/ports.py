"""The TCP ports that a server listens on."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from yolostream.errors import ServerStartError
from yolostream.server import processes

PATIENCE_S = 5.0


@dataclass(frozen=True)
class Ports:
    """TCP ports of one server; 0 stands for any free port."""

    http: int = 0
    grpc: int = 0
    metrics: int = 0


def free_ports(ports: Ports, host: str, *, patience_s: float = PATIENCE_S) -> Ports:
    """Replace zeros by free ports, and check that the other ports are free.

    Args:
        ports: the wanted ports.
        host: address to listen on.
        patience_s: seconds to wait for a port that is taken, because a killed server needs a moment
            to end.

    Returns:
        The ports, none of them 0.

    Raises:
        ServerStartError: a port is taken, or `host` is not an address of this machine.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return _bound(ports, host)
        except _TakenError as taken:
            if time.monotonic() > deadline:
                raise ServerStartError(
                    f"cannot listen on {host}:{taken.port} ({taken.reason}"
                    f"{_describe_owner(taken.port)}): choose another port, or stop what uses it"
                ) from taken
        time.sleep(0.1)


class _TakenError(Exception):
    def __init__(self, port: int, error: OSError) -> None:
        super().__init__(port)
        self.port = port
        self.reason = error.strerror


def _bound(ports: Ports, host: str) -> Ports:
    with contextlib.ExitStack() as held:

        def bind(port: int) -> int:
            probe = held.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise _TakenError(port, error) from error
                raise ServerStartError(
                    f"cannot listen on {host}:{port} ({error.strerror}): choose another address"
                ) from error
            return int(probe.getsockname()[1])

        return Ports(http=bind(ports.http), grpc=bind(ports.grpc), metrics=bind(ports.metrics))


def _describe_owner(port: int) -> str:
    """Describes the process that listens on a port; empty if it is unknown."""
    found = processes.listening(port)
    if found is None:
        return ""
    program = Path(next(iter(processes.arguments(found)), "?")).name
    return f" by process {found}, {program}"
