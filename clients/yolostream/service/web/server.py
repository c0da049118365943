"""Runs the web server in a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import uvicorn

from yolostream.errors import ServiceError
from yolostream.service.web.access import Access
from yolostream.service.web.app import new_app
from yolostream.service.web.connection import Connection
from yolostream.service.web.context import Context

_STOP_S = 2.0
"""Seconds that running requests may still take when the service stops."""

_SEND_TIMEOUT_MS = 30_000
"""A connection is closed if the client does not acknowledge sent data for so long."""


@contextlib.contextmanager
def serving(context: Context) -> Iterator[str]:
    """Serve until the block ends.

    Yields:
        The address of the service, `http://host:port`.

    Raises:
        ServiceError: the port is in use, or the files for TLS cannot be read.
    """
    access = context.access
    with contextlib.closing(_listener(access)) as listener:
        server = uvicorn.Server(_config(context))
        thread = threading.Thread(target=server.run, args=([listener],), name="web", daemon=True)
        thread.start()
        try:
            host = f"[{access.host}]" if ":" in access.host else access.host
            yield f"{access.scheme}://{host}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            context.streams.end()
            thread.join(_STOP_S + 1)


def _listener(access: Access) -> socket.socket:
    family = socket.AF_INET6 if ":" in access.host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit this option.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SEND_TIMEOUT_MS)
        listener.bind((access.host, access.port))
        # Clients may connect as soon as the address is known, before uvicorn runs.
        listener.listen()
    except OSError as error:
        listener.close()
        raise ServiceError(
            f"cannot listen on {access.host}:{access.port} ({error.strerror}): choose another "
            "address or port with --listen"
        ) from error
    return listener


def _config(context: Context) -> uvicorn.Config:
    tls = context.access.tls
    config = uvicorn.Config(
        new_app(context),
        http=Connection,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(_STOP_S),
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else tls.key,
    )
    try:
        config.load()
    except (OSError, ValueError) as error:
        raise ServiceError(
            f"cannot read the files for TLS ({error}): give a certificate and its key as PEM files"
        ) from error
    return config
