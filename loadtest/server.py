"""The server under load: one that already runs, or an embedded one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from yolostream.client.access import target_of
from yolostream.client.connection import connect
from yolostream.client.triton_errors import translated
from yolostream.errors import ModelUnavailable, ServerUnavailable
from yolostream.server import embedded

from loadtest.processes import family
from loadtest.repository import MODELS, SERVER_ENVIRONMENT

_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Target:
    """A running server."""

    url: str
    """gRPC address, as a `Detector` takes it."""
    pids: tuple[int, ...]
    """The server's processes; empty if it runs on another machine."""


@contextlib.contextmanager
def served(
    url: str | None,
    *,
    model: str,
    profile: embedded.Profile = "cpu",
    repository: Path = MODELS,
    environment: Path = SERVER_ENVIRONMENT,
) -> Iterator[Target]:
    """Find the Triton at `url`, or else start one until the block ends; `model` has to be ready."""
    if url is not None:
        yield _running(url, model)
        return
    with embedded.serve(
        repository, environment=environment, models=[model], profile=profile
    ) as server:
        yield Target(server.url, family(server.process.pid))


def _running(url: str, model: str) -> Target:
    target = target_of(url)
    port = target.rpartition(":")[2]
    if not port.isdigit():
        raise ServerUnavailable(f"{url} names no port: write host:port, with the port of gRPC")
    with translated(url, model), connect(url) as client:
        if not client.is_model_ready(model, client_timeout=_TIMEOUT_S):
            raise ModelUnavailable(
                f"{url} has no model '{model}', or it is not ready: see the server's log"
            )
    return Target(url, _listening(target, int(port)))


def _listening(target: str, port: int) -> tuple[int, ...]:
    """The processes of the server that listens on this machine."""
    if target.startswith(("127.", "localhost:", "[::1]:")):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            # The processes of other users are hidden.
            if listens and connection.pid is not None:
                return family(connection.pid)
    return ()
