"""Serves the application on a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import uvicorn

from yolostream.errors import ServiceError
from yolostream.server.embedded import EmbeddedTriton
from yolostream.service.service import Service
from yolostream.service.web.app import new_app

_STOP_S = 2.0
"""What requests may take that are on their way when the service stops."""


@contextlib.contextmanager
def serving(
    service: Service, *, host: str = "127.0.0.1", port: int, triton: EmbeddedTriton | None = None
) -> Iterator[str]:
    """Serve until the block ends, and give the address, `host:port`.

    Args:
        service: it.
        host: address to listen on.
        port: TCP port to listen on; 0 takes a free one.
        triton: that was started for it; None where another one is asked.

    Raises:
        ServiceError: the port is taken.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Who is told the address may ask at once.
        listener.listen()
    except OSError as error:
        listener.close()
        raise ServiceError(
            f"cannot listen on {host}:{port} ({error.strerror}): choose another with --port"
        ) from error
    config = uvicorn.Config(
        new_app(service, triton),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=int(_STOP_S),
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="web", daemon=True)
    thread.start()
    try:
        yield f"{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(_STOP_S + 1)
        listener.close()
