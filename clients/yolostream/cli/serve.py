"""`yolostream serve`."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from yolostream.cli.messages import interruptible, stderr
from yolostream.cli.server import (
    DEFAULT_MODEL_REPOSITORY,
    DEFAULT_SERVER_ENVIRONMENT,
    ModelRepository,
    ProfileOption,
    ServerEnvironment,
    started,
)
from yolostream.server import embedded, health, log


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on. Others than loopback let anybody in.")
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
    health_port: Annotated[
        int | None,
        typer.Option(help="Answer http://HOST:PORT/health[/MODEL]: 200 where frames are answered."),
    ] = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="End with an error where the server is dead, or a step of it."),
    ] = False,
    show_log: Annotated[
        bool, typer.Option("--show-log", help="Copy tritonserver's log to stderr.")
    ] = False,
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- OPTION...]", help="More of tritonserver's own."),
    ] = None,
) -> None:
    """Run Triton until Ctrl-C, for load tests, DeepStream and other clients.

    If it dies, or one of its steps, it is started again.
    """
    ports = embedded.Ports(http=http_port, grpc=grpc_port, metrics=metrics_port)
    with contextlib.ExitStack() as stack:
        triton = started(
            model_repository,
            server_environment,
            profile,
            host=host,
            ports=ports,
            keep_awake=keep_awake,
            options=options or (),
            once=once,
        )
        with interruptible():
            answer_with = None
            if health_port is not None:
                answer_with = stack.enter_context(health.published(host, health_port))
            server = stack.enter_context(triton)
        if answer_with is not None:
            answer_with(server.health)
        if show_log:
            stack.enter_context(log.shown(server.log))
        with contextlib.suppress(KeyboardInterrupt):
            stderr.print(f"HTTP {server.http_url}, metrics {server.metrics_url}; Ctrl-C stops it")
            server.wait()
