"""The server under load: one that is there already, or an embedded one."""

from __future__ import annotations

import contextlib
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from yolostream.client.access import target_of
from yolostream.client.connection import connect
from yolostream.client.triton_errors import translated
from yolostream.errors import ModelUnavailable, ServerUnavailable
from yolostream.server import embedded

from loadtest.repository import MODELS, SERVER_ENVIRONMENT
from loadtest.usage import family

_TIMEOUT_S = 10.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Target:
    """A running server.

    Attributes:
        url: gRPC address, as a `Detector` takes it.
        http_url: HTTP address, `host:port`; None where it is not found.
        metrics_url: Of its Prometheus metrics; None where it is not found.
        pids: Of the server and its children; empty where it runs on another machine.
    """

    url: str
    http_url: str | None
    metrics_url: str | None
    pids: tuple[int, ...]


@contextlib.contextmanager
def served(
    url: str | None,
    *,
    model: str,
    profile: embedded.Profile = "cpu",
    repository: Path = MODELS,
    environment: Path = SERVER_ENVIRONMENT,
    start_timeout_s: float | None = None,
) -> Iterator[Target]:
    """Find the Triton at `url`, or without one start it here until the block ends.

    Args:
        url: gRPC address of a Triton, `host:port`.
        model: Has to be ready.
        profile: Which `configs/PROFILE.pbtxt` the models load; only without `url`.
        repository: Model repository; only without `url`.
        environment: Virtual environment of the server; only without `url`.
        start_timeout_s: Seconds until the models have to be ready; only without `url`.

    Raises:
        ServerUnavailable: Nobody answers at `url`, or it names no port.
        ModelUnavailable: The server has no such model.
        ServerStartError: The embedded Triton does not start.
    """
    if url is not None:
        yield _running(url, model)
        return
    with embedded.serve(
        repository,
        environment=environment,
        models=[model],
        profile=profile,
        start_timeout_s=start_timeout_s,
    ) as server:
        yield _own(server)


def _own(server: embedded.EmbeddedTriton) -> Target:
    return Target(
        url=server.url,
        http_url=server.http_url,
        metrics_url=server.metrics_url,
        pids=family(server.process.pid),
    )


def _running(url: str, model: str) -> Target:
    target = target_of(url)
    host, _, port = target.rpartition(":")
    if not port.isdigit():
        raise ServerUnavailable(f"{url} names no port: write host:port, with that of gRPC")
    with translated(url, model), connect(url) as client:
        if not client.is_model_ready(model, client_timeout=_TIMEOUT_S):
            raise ModelUnavailable(
                f"{url} has no model '{model}', or it is not ready: see the server's log"
            )
    # Triton's own order: HTTP 8000, gRPC 8001, metrics 8002.
    http_url, metrics_url = f"{host}:{int(port) - 1}", f"http://{host}:{int(port) + 1}/metrics"
    return Target(
        url=url,
        http_url=http_url if _answers(f"http://{http_url}/v2/health/live") else None,
        metrics_url=metrics_url if _answers(metrics_url) else None,
        pids=_listening(target, int(port)),
    )


def _answers(address: str) -> bool:
    try:
        with _DIRECT.open(address, timeout=_TIMEOUT_S) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _listening(target: str, port: int) -> tuple[int, ...]:
    """Processes of the server that listens on this machine."""
    if not target.startswith(("127.", "localhost:", "[::1]:")):
        return ()
    for connection in psutil.net_connections("tcp"):
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
        # Those of another user are hidden.
        if listens and connection.pid is not None:
            return family(connection.pid)
    return ()
