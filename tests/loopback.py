"""Reserves ports on 127.0.0.1, so that no other process gets them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

LOOPBACK = "127.0.0.1"


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """A port that refuses connections until a socket with SO_REUSEADDR listens on it."""
    with socket.socket() as holder:
        # A bound socket that does not listen: Linux does not give its port away as a free one.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, 0))
        yield holder.getsockname()[1]
