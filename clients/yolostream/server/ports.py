"""The TCP ports that a server listens on."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass

from yolostream.errors import ServerStartError


@dataclass(frozen=True)
class Ports:
    """TCP ports of one server; 0 takes any free one."""

    http: int = 0
    grpc: int = 0
    metrics: int = 0


def free_ports(ports: Ports, host: str) -> Ports:
    """Fill in the zeros, and make sure that the others are not taken.

    Raises:
        ServerStartError: One is taken, or `host` is not an address of this machine.
    """
    with contextlib.ExitStack() as held:

        def bind(port: int) -> int:
            probe = held.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise ServerStartError(
                    f"cannot listen on {host}:{port} ({error.strerror}): choose another port"
                ) from error
            return int(probe.getsockname()[1])

        return Ports(http=bind(ports.http), grpc=bind(ports.grpc), metrics=bind(ports.metrics))
