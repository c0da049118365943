"""Ports on 127.0.0.1 that stay one's own while nothing listens there."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

LOOPBACK = "127.0.0.1"


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """A port that refuses connections until somebody with SO_REUSEADDR listens there."""
    with socket.socket() as holder:
        # Bound and never listening: Linux gives the port to nobody who asks for any free one.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, 0))
        yield holder.getsockname()[1]
