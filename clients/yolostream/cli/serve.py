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
from yolostream.server import embedded
from yolostream.server.access import Access


def serve(
    host: Annotated[
        str,
        typer.Option(help="Address to listen on; but for loopback, others reach it."),
    ] = embedded.LOOPBACK,
    http_port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8000,
    grpc_port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8001,
    metrics_port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8002,
    profile: ProfileOption = None,
    model_repository: ModelRepository = DEFAULT_MODEL_REPOSITORY,
    server_environment: ServerEnvironment = DEFAULT_SERVER_ENVIRONMENT,
    keep_awake: Annotated[
        bool,
        typer.Option(
            "--keep-awake",
            help="Let no core sleep: one stream on a GPU is answered sooner, for the power of all "
            "cores.",
        ),
    ] = False,
    token_file: access.ServerTokenFile = None,
    tls_cert: access.ServerTlsCert = None,
    tls_key: access.ServerTlsKey = None,
    tls_client_ca: access.ServerTlsClientCa = None,
) -> None:
    """Run Triton here until Ctrl-C, for load tests, DeepStream and other clients."""
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
        )
        server = stack.enter_context(triton)
        with contextlib.suppress(KeyboardInterrupt):
            stderr.print(f"HTTP {server.http_url}, metrics {server.metrics_url}; Ctrl-C stops it")
            server.wait()
