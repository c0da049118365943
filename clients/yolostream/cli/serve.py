"""`yolostream serve`."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from yolostream.cli import access
from yolostream.cli.messages import print_note, stderr
from yolostream.cli.server import (
    DEFAULT_MODEL_REPOSITORY,
    DEFAULT_SERVER_ENVIRONMENT,
    ModelRepository,
    ProfileOption,
    ServerEnvironment,
    started,
)
from yolostream.server import embedded, health, log
from yolostream.server.access import Access


def serve(
    host: Annotated[
        str,
        typer.Option(help="Address to listen on. Other machines can reach any but loopback."),
    ] = embedded.LOOPBACK,
    http_port: Annotated[int, typer.Option(help="0 takes a free port.")] = 8000,
    grpc_port: Annotated[int, typer.Option(help="0 takes a free port.")] = 8001,
    metrics_port: Annotated[int, typer.Option(help="0 takes a free port.")] = 8002,
    profile: ProfileOption = None,
    model_repository: ModelRepository = DEFAULT_MODEL_REPOSITORY,
    server_environment: ServerEnvironment = DEFAULT_SERVER_ENVIRONMENT,
    keep_awake: Annotated[
        bool,
        typer.Option(
            "--keep-awake",
            help="Keep all cores busy, so that none sleeps: this lowers the latency of a single "
            "stream on a GPU, and needs more power.",
        ),
    ] = False,
    token_file: access.ServerTokenFile = None,
    tls_cert: access.ServerTlsCert = None,
    tls_key: access.ServerTlsKey = None,
    tls_client_ca: access.ServerTlsClientCa = None,
    health_port: Annotated[
        int | None,
        typer.Option(
            help="Port for health checks: http://HOST:PORT/health and /health/MODEL answer 200 if "
            "frames are answered."
        ),
    ] = None,
    once: Annotated[
        bool,
        typer.Option(
            "--once",
            help="End with an error if the server or one of its steps dies, instead of restarting.",
        ),
    ] = False,
    show_log: Annotated[
        bool, typer.Option("--show-log", help="Copy tritonserver's log to stderr.")
    ] = False,
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- OPTION...]", help="Further options for tritonserver."),
    ] = None,
) -> None:
    """Run Triton until Ctrl-C, for load tests, DeepStream and other clients.

    If the server or one of its steps dies, the server is restarted.

    To serve a model that was installed meanwhile, run this command again.
    """
    allowed = Access(
        access.token_from(token_file), access.server_tls(tls_cert, tls_key, tls_client_ca)
    )
    if exposure := allowed.exposure(host):
        print_note(exposure)
    ports = embedded.Ports(http=http_port, grpc=grpc_port, metrics=metrics_port)
    with contextlib.ExitStack() as stack:
        triton = started(
            model_repository,
            server_environment,
            profile,
            host=host,
            ports=ports,
            keep_awake=keep_awake,
            access=allowed,
            options=options or (),
            once=once,
        )
        answer_with = None
        if health_port is not None:
            answer_with = stack.enter_context(health.served(host, health_port))
        server = stack.enter_context(triton)
        if answer_with is not None:
            answer_with(server.health)
        if show_log:
            stack.enter_context(log.copied_to_stderr(server.log))
        with contextlib.suppress(KeyboardInterrupt):
            stderr.print(f"HTTP {server.http_url}, metrics {server.metrics_url}; Ctrl-C stops it")
            server.wait()
